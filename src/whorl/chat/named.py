"""Chat templates for base models, which have none: what `template=` calls by name."""

from collections.abc import Mapping

ALPACA = """\
{%- for message in messages %}
    {%- if message.role == "system" %}
        {{- message.content + "\\n\\n" }}
    {%- elif message.role == "user" %}
        {%- if loop.first %}
            {{- "Below is an instruction that describes a task. " }}
            {{- "Write a response that appropriately completes the request.\\n\\n" }}
        {%- endif %}
        {{- "### Instruction:\\n" + message.content + "\\n\\n### Response:" }}
    {%- elif message.role == "assistant" %}
        {{- message.content }}
        {{- eos_token if loop.last else "\\n\\n" }}
    {%- endif %}
{%- endfor %}
"""

QWEN = """\
{%- for message in messages %}
    {{- "<|im_start|>" + message.role + "\\n" + message.content + "<|im_end|>\\n" }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- "<|im_start|>assistant\\n" }}
{%- endif %}
"""

PLAIN = """\
{%- for message in messages %}
    {%- if message.role == "system" %}
        {{- message.content + "\\n\\n" }}
    {%- elif message.role == "user" %}
        {{- "Question: " + message.content + "\\nAnswer:" }}
    {%- elif message.role == "assistant" %}
        {{- " " + message.content }}
        {{- eos_token if loop.last else "\\n\\n" }}
    {%- endif %}
{%- endfor %}
"""

TEMPLATES: Mapping[str, str] = {"alpaca": ALPACA, "qwen": QWEN, "plain": PLAIN}
"""`alpaca` is that of Stanford Alpaca (its code: `PROMPT_DICT`) and of DART-Math (2407.13690); an
instruction of ours, if there is one, takes the place of its first sentences. `qwen` is ChatML,
whose marks the tokenizer has to know. `plain` labels question and answer, as few-shot prompts
do."""

BEGINNING = "{{- bos_token }}\n"
"""Goes before these where a tokenizer puts such a token before every text."""

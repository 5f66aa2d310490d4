"""How templates of all kinds take turns and end them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chat.conftest import Make

from whorl.ask import Failure, Prompt
from whorl.chat import Chat
from whorl.chat.named import ALPACA, PLAIN, QWEN
from whorl.engines.admission import fitting
from whorl.errors import UserError

LOOP = "{% for m in messages %}"
CHATML = (
    LOOP + "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
REFUSES = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system here') }}{% endif %}"
    + LOOP
    + "{% if (m.role == 'user') == (loop.index0 % 2) %}{{ raise_exception('turns') }}{% endif %}"
    "<turn>{{ m.role }}\n{{ m.content | trim }}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}<turn>assistant\n{% endif %}"
)
CLOSES = (
    LOOP + "<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}"
)
WORDS = (
    LOOP + "{% if m.role == 'user' %}USER: {{ m.content }} ASSISTANT:"
    "{% elif m.role == 'assistant' %} {{ m.content }}{{ eos_token }}"
    "{% else %}{{ m.content }} {% endif %}{% endfor %}"
)
OPENS = (
    LOOP + "{% if m.role == 'assistant' %}<|assistant|>\n{{ m.content }}"
    "{% else %}<|{{ m.role }}|>\n{{ m.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
PARTS = (
    LOOP + "{{ m.role }}: {% for part in m.content %}{% if part.type == 'text' %}"
    "{{ part.text }}{% endif %}{% endfor %}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
CHANNELS = (
    LOOP + "{% if m.role == 'assistant' %}<|start|>assistant<|channel|>final<|message|>"
    "{{ m.content }}<|return|>{% else %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
WRITTEN = LOOP + "{{ m.role }}: {{ m.content }}\n[over]\n{% endfor %}"


@pytest.mark.parametrize(
    ("template", "marks", "end", "ends", "stops"),
    [
        (CHATML, ("<|im_start|>", "<|im_end|>"), "<|im_end|>", {"<|im_start|>", "<|im_end|>"}, ()),
        (REFUSES, ("<turn>", "<end>"), "<end>", {"<turn>", "<end>"}, ()),
        (CLOSES, ("<|user|>", "<|assistant|>", "<|end|>"), "<|end|>", {"<|user|>", "<|end|>"}, ()),
        (WORDS, (), "</s>", set(), ("USER:",)),
        (PARTS, ("<end>",), "<end>", {"<end>"}, ("\nuser:",)),
        (
            CHANNELS,
            ("<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>"),
            "<|return|>",
            {"<|return|>"},
            (),
        ),
        (WRITTEN, (), "[over]", set(), ("[over]", "\nuser:")),
        (QWEN, ("<|im_start|>", "<|im_end|>"), "<|im_end|>", {"<|im_start|>", "<|im_end|>"}, ()),
        (ALPACA, (), "</s>", set(), ("\n### Instruction:",)),
        (PLAIN, (), "</s>", set(), ("\nQuestion:",)),
    ],
)
def test_a_turn_ends_as_the_template_ends_it(
    tokenizer: Make,
    template: str,
    marks: tuple[str, ...],
    end: str,
    ends: set[str],
    stops: tuple[str, ...],
) -> None:
    chat = Chat(tokenizer(template, *marks))
    assert chat.tokenizer.decode(list(chat.end)) == end
    assert {chat.tokenizer.decode([each]) for each in chat.ends} == {"</s>", *ends}
    assert chat.stops == stops
    ids, _ = chat.encode_completion(Prompt("", "1+1?"), "It is 2.")
    assert ids[-len(chat.end) :] == list(chat.end)
    assert ids.count(chat.end[-1]) == chat.encode(Prompt("", "1+1?")).count(chat.end[-1]) + 1


def test_a_turn_that_ends_where_the_next_begins(tokenizer: Make) -> None:
    made = tokenizer(OPENS, "<|user|>", "<|assistant|>")
    user = made.convert_tokens_to_ids("<|user|>")
    told = Chat(made, declared=[user])
    assert told.end == (user,) and user in told.ends
    silent = Chat(tokenizer(OPENS, "<|user|>", "<|assistant|>"))
    assert silent.end == (made.eos_token_id,)  # that the configuration did not say
    assert user in silent.ends  # all the same, it is not the assistant's to say


def test_what_the_configuration_declares_ends_a_turn_too(tokenizer: Make) -> None:
    marks = ("<|im_start|>", "<|im_end|>", "<|call|>")
    made = tokenizer(CHATML, *marks)
    call = made.convert_tokens_to_ids("<|call|>")
    assert call in Chat(made, declared=[call]).ends


def test_an_opening_mark_that_is_no_special_token_ends_a_turn(tokenizer: Make) -> None:
    template = LOOP + "<User>{{ m.content }}{{ eos_token }}{% endfor %}"
    made = tokenizer(template, words=("<User>",))
    assert made.convert_tokens_to_ids("<User>") in Chat(made).ends


@given(system=st.text(min_size=1), user=st.text())
def test_the_systems_words_go_before_the_users_where_no_system_is_taken(
    tokenizer: Make, system: str, user: str
) -> None:
    chat = Chat(tokenizer(REFUSES, "<turn>", "<end>"))
    assert chat.turns.merged
    merged = f"{system}\n\n{user}".strip()
    assert chat.render(Prompt(system, user)) == f"<turn>user\n{merged}<end>\n<turn>assistant\n"


def test_parts_where_no_string_is_taken(tokenizer: Make) -> None:
    chat = Chat(tokenizer(PARTS, "<end>"))
    assert chat.render(Prompt("Be brief.", "1+1?", "So")) == (
        "system: Be brief.<end>\nuser: 1+1?<end>\nassistant:So"
    )


def test_a_template_that_leaves_the_systems_words_out_is_noted(tokenizer: Make) -> None:
    assert Chat(tokenizer(CHATML, "<|im_start|>", "<|im_end|>")).turns.deaf is False
    skips = (
        LOOP + "{% if m.role != 'system' %}{{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
    )
    assert Chat(tokenizer(skips)).turns.deaf


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ raise_exception('not for you') }}", "takes no conversation: not for you"),
        ("{{ messages[0].text.words }}", "has no attribute 'text'"),
        ("{% for m in messages %}", "takes no conversation: Unexpected end of template"),
        ("always the same", "it leaves out what the user says"),
        (
            "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            "it takes more than a second",
        ),
        ("{{ 'x' * 10000000000 }}", "it takes more than 1,024 MiB of memory"),
        ("{{ messages[0].content * 1000000 }}", "it makes 8,000,000 characters"),
        ("{{ ''.__class__.__mro__ }}", "access to attribute '__class__'"),
        ("{{ namespace(__class__=1) }}", "no place for '__class__'"),
        ("{{ open('/etc/passwd') }}", "'open' is undefined"),
    ],
)
def test_what_a_template_refuses_is_said_before_anything_is_asked(
    tokenizer: Make, template: str, why: str
) -> None:
    with pytest.raises(UserError, match=why) as caught:
        Chat(tokenizer(template), "models/odd")
    assert str(caught.value).startswith("models/odd: its chat template")
    assert "\n" not in str(caught.value)


def test_a_prompt_that_a_template_refuses_is_one_line(tokenizer: Make) -> None:
    picky = "{% if 'x' in messages[-1].content %}{{ raise_exception('no x') }}{% endif %}" + CHATML
    chat = Chat(tokenizer(picky, "<|im_start|>", "<|im_end|>"))
    with pytest.raises(UserError, match="refuses a prompt: no x"):
        chat.render(Prompt("", "x"))
    failed, known = fitting(Prompt("", "x"), chat.encode, None), chat.encode(Prompt("", "y"))
    assert isinstance(failed, Failure) and "no x" in failed.error  # and the run goes on
    assert fitting(Prompt("", "y"), chat.encode, None) == known

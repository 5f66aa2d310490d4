"""The tiny models' tokenizer: every digit one token, a blank line one token, any text lossless."""

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

PAD, BOS, EOS = "<|pad|>", "<|bos|>", "<|eos|>"

# The user's turn, a blank line, the assistant's turn. Instructions (the system's turn) are left
# out: a tiny model knows its few tasks by the form of the user's turn.
CHAT_TEMPLATE = """\
{{- bos_token }}
{%- for message in messages %}
    {%- if message.role == "user" %}
        {{- message.content + "\\n\\n" }}
    {%- elif message.role == "assistant" %}
        {%- generation %}
            {{- message.content + eos_token }}
        {%- endgeneration %}
    {%- endif %}
{%- endfor %}
"""

# A run of newlines, a digit, a word, a sign, any other space; the GPT-2 rule cuts a blank line in
# two, and the mark of a step's end with it.
_PIECE = r"\n+|\d| ?[A-Za-z]+| ?[^\sA-Za-z\d]|\s"


def train_tokenizer(texts: Iterable[str], *, vocabulary: int = 1024) -> PreTrainedTokenizerFast:
    """Byte-level BPE over `texts` with at most this many tokens; ids 0, 1, 2 are pad, bos, eos."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = Sequence(
        [
            Split(Regex(_PIECE), "isolated"),
            ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, BOS, EOS],
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        padding_side="left",
        model_max_length=4096,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )

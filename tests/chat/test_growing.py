import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from whorl.chat.growing import Growing, encoded, parts_at_blank_lines

QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
SPLITS = {
    "qwen": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN), "isolated"), BYTES]),
    "gpt2": pre_tokenizers.ByteLevel(add_prefix_space=False),
    "spaced": pre_tokenizers.ByteLevel(add_prefix_space=True),
    "whole": BYTES,
}
MERGES = [("Ċ", "Ċ"), ("ĊĊ", "Ċ"), ("Ġ", "Ġ"), (".", "ĊĊ"), ("Ġ", "Ċ"), ("a", "b"), ("Ġ", "a")]
PIECES = st.sampled_from(
    ["\n\n", "\n", " ", "\t", "\r\n", "a", "ab", "7", ".", "'s", "é", "\u0301"]
)


def made(split: str, *merges: tuple[str, str]) -> Tokenizer:
    """A byte-level tokenizer with tokens of line breaks, that splits text as a known one does."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*letters, *("".join(merge) for merge in (*MERGES, *merges))]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [*MERGES, *merges]))
    tokenizer.pre_tokenizer = SPLITS[split]
    return tokenizer


@pytest.fixture(scope="module")
def shipped(tiny_model: Path) -> Tokenizer:
    return Tokenizer.from_file(str(tiny_model / "tokenizer.json"))


@pytest.mark.parametrize("split", [*SPLITS])
@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=12).map("".join), st.data())
def test_a_text_that_grows_has_the_tokens_of_the_whole(
    split: str, text: str, data: st.DataObject
) -> None:
    tokenizer = made(split)
    growing = Growing(tokenizer, room=3)
    for _ in range(6):
        assert growing.ids(text) == encoded(tokenizer, text)
        text += data.draw(st.lists(PIECES, max_size=6).map("".join)) + "\n\n"


@settings(max_examples=300, deadline=None)
@given(st.text(), st.lists(st.text().map(lambda step: step + "\n\n"), max_size=5))
def test_so_it_has_by_the_shipped_models(shipped: Tokenizer, text: str, steps: list[str]) -> None:
    growing = Growing(shipped)
    for step in ["", *steps]:
        text += step
        assert growing.ids(text) == encoded(shipped, text)


def test_only_what_is_new_is_tokenized(shipped: Tokenizer) -> None:
    class Counted:
        def __init__(self) -> None:
            self.seen: list[str] = []

        def encode_batch_fast(self, texts: list[str], **how: bool) -> list[object]:
            self.seen += texts
            return shipped.encode_batch_fast(texts, **how)

        def __getattr__(self, name: str) -> object:
            return getattr(shipped, name)

    counted = Counted()
    growing = Growing(counted)  # type: ignore[arg-type]
    counted.seen.clear()
    for text in ("q\n\n", "q\n\na b\n\n", "q\n\na b\n\nc", "q\n\na b\n\n", "q\n\nd\n\n"):
        growing.ids(text)
    assert counted.seen == ["q\n\n", "a b\n\n", "c", "d\n\n"]


def test_ids_may_be_changed_by_who_gets_them(shipped: Tokenizer) -> None:
    growing = Growing(shipped)
    for _ in range(2):
        ids = growing.ids("a\n\n")
        ids.append(0)
    assert growing.ids("a\n\n") == encoded(shipped, "a\n\n")


@pytest.mark.parametrize(
    ("tokenizer", "parts"),
    [
        (made("qwen"), True),
        (made("gpt2"), False),  # its last line break stays with what follows
        (made("spaced"), False),
        (made("whole"), True),
        (made("whole", ("Ċ", "z")), False),  # a token across, though of a rare character
    ],
)
def test_what_can_be_put_together(tokenizer: Tokenizer, parts: bool) -> None:
    assert parts_at_blank_lines(tokenizer) is parts


@pytest.mark.parametrize(
    "token", [AddedToken("<end>", lstrip=True), AddedToken("\n\nAnswer"), AddedToken("<a\nb>")]
)
def test_added_tokens_that_reach_over_line_breaks(token: AddedToken) -> None:
    tokenizer = made("qwen")
    tokenizer.add_special_tokens([token])
    assert not parts_at_blank_lines(tokenizer)


def test_a_mark_put_before_every_text(tiny_model: Path) -> None:
    spec = json.loads((tiny_model / "tokenizer.json").read_text())
    tokenizer = Tokenizer.from_str(json.dumps(spec))
    tokenizer.normalizer = normalizers.Prepend("_")
    assert not parts_at_blank_lines(tokenizer)

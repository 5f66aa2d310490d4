"""The one exception that is meant for a person, and text as a person is to see it."""

import re
import unicodedata
from importlib.util import find_spec
from typing import Any, TextIO


class UserError(Exception):
    """An error that the user can put right. The message is one line: what is wrong and what to
    do."""


def reason(error: BaseException) -> str:
    """The message of another library's error in one line: its first, with the next one where the
    first ends in a colon; the error's kind if it has none."""
    said = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not said:
        return type(error).__name__
    return " ".join(said[:2]) if said[0].endswith(":") else said[0]


def visible(text: str, kept: str = "\n\t") -> str:
    """The text with characters that have no glyph written as `‹U+202E›`: control characters, which
    a terminal obeys, and formatting ones (bidirectional, zero-width). Those in `kept` stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"‹U+{ord(c):04X}›" if c not in kept and _unseen(c) else c for c in text)


class Visible:
    """A stream for text of whatever origin: a terminal behind it obeys none of that.

    A carriage return passes, and a move upwards that is written by itself: progress bars of
    libraries are drawn with them.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        shown = text if _UPWARDS.fullmatch(text) else visible(text, "\n\t\r")
        self.stream.write(shown)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


_UPWARDS = re.compile(r"(\x1b\[A)+")


def _unseen(char: str) -> bool:
    """Whether a character has no glyph: category C, which is controls, formats, surrogates, private
    use, unassigned; and separators of lines and paragraphs."""
    category = unicodedata.category(char)
    return category[0] == "C" or category in ("Zl", "Zp")


def need(module: str, extra: str) -> None:
    """Look for an installed module. Raises `UserError` that names the extra which brings it."""
    if find_spec(module) is None:
        why = {
            "local": "a model in this process needs it, one behind a server (server:URL) does not",
            "train": "training needs it",
            "cluster": "many machines need it, --shard does without",
        }[extra]
        raise UserError(f"{module} is not installed: {why}; pip install 'whorl[{extra}]'")

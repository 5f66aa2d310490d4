"""Token ids of texts that grow by a step at a time."""

from __future__ import annotations

import re
from array import array
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_BLANK = "\n\n"
_LAST = re.compile(r".*\n\n(?=\S)", re.DOTALL)  # up to the last step, if steps are paragraphs
_ACROSS = re.compile(r"[\nĊ][^\sĊĠĉċČč]")  # in byte-level tokens Ċ is a line break, the rest space
_ENDS = ("a", "A", "7", ".", "}", "$", " ", "\n", "\t", "é", "数", "∑")
_STARTS = (*"aA7.}$-\\'<(é数∑\u0301", "'s", "42", "**", "#a")


class Growing:
    """A tokenizer that remembers what it has made of the last `room` texts that end in a blank
    line.

    The prompts of a search grow by a step at a time. Tokenizing them anew each time was a fifth of
    what a request to a server costs here. The ids are those of the whole text: where a
    tokenizer does not treat both sides of a blank line apart, nothing is put together.
    """

    def __init__(self, tokenizer: Tokenizer, room: int = 8192) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, array[int]] = {}
        self._room = room if parts_at_blank_lines(tokenizer) else 0

    def ids(self, text: str) -> list[int]:
        if (known := self._known.get(text)) is not None:
            return known.tolist()
        start = _LAST.match(text) if self._known else None
        known = self._known.get(start[0]) if start else None
        if start and known is not None:
            ids = known.tolist() + encoded(self._tokenizer, text[start.end() :])
        else:
            ids = encoded(self._tokenizer, text)
        if self._room and text.endswith(_BLANK):
            if len(self._known) == self._room:
                del self._known[next(iter(self._known))]
            self._known[text] = array("I", ids)  # a ninth of a list of numbers
        return ids


def encoded(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of a text as it stands. The fast tokenizers' own call is passed over: it costs more
    than this on a short text."""
    (encoding,) = tokenizer.encode_batch_fast([text], add_special_tokens=False)
    ids: list[int] = encoding.ids
    return ids


def parts_at_blank_lines(tokenizer: Tokenizer) -> bool:
    """Whether a text that goes on after a blank line has the tokens of both its parts.

    It has where text is cut into words before tokens are looked for, and line breaks are words of
    their own, as in Qwen's and Llama 3's tokenizers; not in GPT-2's, which sees what follows the
    line breaks, nor in those that put a space before a text. All kinds of characters are tried on
    both sides.
    """
    if any(token.lstrip for token in tokenizer.get_added_tokens_decoder().values()):
        return False  # it takes the line breaks before it
    if any(map(_ACROSS.search, tokenizer.get_vocab())):
        return False
    before = {end: encoded(tokenizer, end + _BLANK) for end in _ENDS}
    after = {start: encoded(tokenizer, start) for start in _STARTS}
    return all(
        encoded(tokenizer, end + _BLANK + start) == before[end] + after[start]
        for end, start in product(_ENDS, _STARTS)
    )

"""A model's own marks of a thought, and those that whorl has in their place."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from whorl.answer.thoughts import CLOSE, OPEN
from whorl.prompts.families import FAMILIES, Marks

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_OURS = Marks()
_OPENED = re.compile(r"<think>\n?")
_CLOSED = re.compile(r"\n?</think>(?:\n\n)?")


@dataclass(frozen=True, slots=True)
class Thoughts:
    """How a model writes thoughts.

    marks: its own.
    opening: what its template puts of a thought before the assistant's first word; empty if that
        opens none.
    ids: token ids of marks that are no text to the tokenizer, and the text that stands for them.
    """

    marks: Marks
    opening: str
    ids: tuple[tuple[tuple[int, ...], str], ...] = ()

    def own(self, text: str) -> str:
        """The assistant's turn so far, as it stands behind what the template put there.

        A turn that has begun without a thought, where the template opened one, closes it first.
        """
        if not text or (self.marks == _OURS and not self.opening):
            return text
        thoughtful = text.lstrip().startswith(_OURS.open.rstrip())
        if self.marks != _OURS:
            text = _CLOSED.sub(lambda _: self.marks.close, text)
            text = _OPENED.sub(lambda _: self.marks.open, text)
        if not thoughtful:
            closed = self.marks.close.lstrip("\n")  # the line has been ended
            return (closed if self.opening else self.marks.plain) + text
        if not self.opening or text.startswith(self.opening):
            return text[len(self.opening) :]
        return text.lstrip().removeprefix(self.marks.open.rstrip())

    def ours(self, text: str) -> str:
        """Text in which a server shows the model's own marks, with ours in their place."""
        if self.marks == _OURS:
            return text
        text = text.replace(self.marks.close, CLOSE).replace(self.marks.open, OPEN)
        return text.replace(self.marks.plain, "") if self.marks.plain else text

    def own_stop(self, stop: str) -> str:
        """A stop string as the model writes it: the end of a thought in its own marks."""
        return self.marks.close if stop == _OURS.close.strip() and self.marks != _OURS else stop

    def begun(self, prefix: str) -> str:
        """What of the thought a sample after `prefix` begins with, as the template opened it."""
        return "" if prefix or not self.opening else _as_ours(self.opening, self.marks)

    def decode(self, tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
        """Text of sampled ids; special tokens are left out, but for those of a thought."""
        text, start, at = "", 0, 0
        while at < len(ids) and self.ids:
            mark = next((m for m in self.ids if tuple(ids[at : at + len(m[0])]) == m[0]), None)
            if mark is None:
                at += 1
                continue
            text += _plain(tokenizer, ids[start:at]) + mark[1]
            start = at = at + len(mark[0])
        return text + _plain(tokenizer, ids[start:])

    @property
    def last(self) -> dict[int, str]:
        """The tokens with which marks end that are no text, and what stands for the marks."""
        last: dict[int, str] = {}
        for ids, text in self.ids:
            last[ids[-1]] = last.get(ids[-1], "") + text
        return last

    @property
    def longest(self) -> int:
        """Tokens of the longest mark that is no text; 0 without one."""
        return max((len(ids) for ids, _ in self.ids), default=0)


def find_thoughts(tokenizer: PreTrainedTokenizerBase, opening: str) -> Thoughts:
    """How the model of a tokenizer thinks. opening: what its template puts before the assistant's
    first word."""
    known = tokenizer.get_vocab()
    marks = next((f.marks for f in FAMILIES.values() if _knows(f.marks, known)), _OURS)
    start = opening.rfind(marks.open.rstrip())
    opened = start >= 0 and marks.close.strip() not in opening[start:]
    special = {n for n, token in tokenizer.added_tokens_decoder.items() if token.special}
    ids = []
    for mark, ours in ((marks.close, CLOSE), (marks.open, OPEN), (marks.plain, "")):
        own = tokenizer.encode(mark.strip(), add_special_tokens=False) if mark else []
        if not special.isdisjoint(own):
            ids.append((tuple(own), ours if marks != _OURS else ours.strip()))
    return Thoughts(marks, opening[start:] if opened else "", tuple(ids))


def _knows(marks: Marks, vocabulary: Collection[str]) -> bool:
    """Whether marks that are not ours are tokens of a vocabulary."""
    named = re.findall(r"<\|\w+\|>|\[/?THINK\]", marks.open + marks.close)
    return bool(named) and all(name in vocabulary for name in named)


def _as_ours(text: str, marks: Marks) -> str:
    return text if marks == _OURS else text.replace(marks.open, OPEN)


def _plain(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=True))

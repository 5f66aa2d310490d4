"""Segmenters: where a step of a solution ends."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, TypeVar

T = TypeVar("T")


class Segmenter(Protocol):
    """A rule that cuts a solution into steps.

    stop: strings at which a sampled step ends.
    glue: what follows a step that ended at a stop string, so that prefix + next step reads as the
        model would have written it.
    """

    @property
    def stop(self) -> tuple[str, ...]: ...

    @property
    def glue(self) -> str: ...

    def split(self, text: str) -> list[str]:
        """Steps of `text`; `"".join(split(text)) == text`, and no step is empty."""


@dataclass(frozen=True, slots=True)
class BlankLine:
    """One step per paragraph (2501.01478, section 3; the rule SPHERE's reward model expects too).

    min_chars: paragraphs shorter than this, in characters, are merged into the next one.
    """

    min_chars: int = 20
    stop: tuple[str, ...] = ("\n\n",)
    glue: str = "\n\n"

    def split(self, text: str) -> list[str]:
        steps: list[str] = []
        held = ""
        for piece in re.findall(r".*?(?:\n\s*\n\s*|\Z)", text, re.DOTALL):
            held += piece
            if held.strip() and len(held.strip()) >= self.min_chars:
                steps.append(held)
                held = ""
        if held and steps and not held.strip():
            steps[-1] += held
        elif held:
            steps.append(held)
        return steps


@dataclass(frozen=True, slots=True)
class StepMarker:
    """One step per "Step k:" line (MARGE, 2505.12500)."""

    stop: tuple[str, ...] = ("\nStep ",)
    glue: str = "\n"

    def split(self, text: str) -> list[str]:
        return [piece for piece in re.split(r"(?m)^(?=Step \d+:)", text) if piece]


@dataclass(frozen=True, slots=True)
class AfterMarker:
    """A step ends right after the next "Step k:", as the states of MARGE's step-based runs do. To
    be used with a `lead` that ends in "Step 1:"."""

    stop: tuple[str, ...] = ()
    glue: str = ""

    def split(self, text: str) -> list[str]:
        return [piece for piece in re.findall(r".*?(?:Step \d+:|\Z)", text, re.DOTALL) if piece]


@dataclass(frozen=True, slots=True)
class Words:
    """A step is a word and the space before it: with `states=5`, MARGE's states of equal length."""

    stop: tuple[str, ...] = ()
    glue: str = ""

    def split(self, text: str) -> list[str]:
        return [piece for piece in re.split(r"(?<=\S)(?=\s)", text) if piece]


def split_evenly(items: Sequence[T], count: int) -> list[Sequence[T]]:
    """`items` cut into `count` runs of nearly equal length, the longer ones first; fewer runs if
    there are fewer items."""
    count = min(count, len(items))
    length, longer = divmod(len(items), count) if count else (0, 0)
    cuts = [run * length + min(run, longer) for run in range(count + 1)]
    return [items[start:end] for start, end in pairwise(cuts)]


def first_stop(text: str, stop: Sequence[str]) -> int | None:
    """Index at which the first of the stop strings begins, None if the text has none."""
    return min((at for string in stop if (at := text.find(string)) >= 0), default=None)


def cut(text: str, stop: Sequence[str]) -> tuple[str, str] | None:
    """The text before the first of the stop strings, and that string; None if the text has none."""
    found = [(at, string) for string in stop if (at := text.find(string)) >= 0]
    if not found:
        return None
    at, string = min(found)
    return text[:at], string


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a text, without the space around them; none is empty."""
    return [stripped for part in text.split("\n\n") if (stripped := part.strip())]


def same_words(text: str) -> str:
    """Key of a text for comparison: blanks and case do not count."""
    return " ".join(text.split()).casefold()


def unformatted(text: str) -> str:
    """`text` without its formatting: texts that differ in formatting only become equal."""
    text = re.sub(r"(\d)\.0+\b", r"\1", text.casefold())
    text = re.sub(r"\\(?:boxed|text|mathrm)\{([^{}]*)\}", r"\1", text)
    return re.sub(r"\\(?:left|right|[()\[\] ,;!])|[.,:;](?!\d)|[\s$`]|\*\*", "", text)

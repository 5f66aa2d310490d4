"""Where a step ends: on a blank line, or before a "Step k:" marker."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


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


def first_stop(text: str, stop: Sequence[str]) -> int | None:
    """Where the first of the stop strings begins, None if there is none."""
    return min((at for string in stop if (at := text.find(string)) >= 0), default=None)


def cut(text: str, stop: Sequence[str]) -> tuple[str, str] | None:
    """The text before the first of the stop strings, and which it is; None if there is none."""
    found = [(at, string) for string in stop if (at := text.find(string)) >= 0]
    if not found:
        return None
    at, string = min(found)
    return text[:at], string


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a text, without the space around them; none is empty."""
    return [stripped for part in text.split("\n\n") if (stripped := part.strip())]

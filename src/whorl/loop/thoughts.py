"""Thoughts in examples: taught whole, shortened, or not at all."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from whorl.answer.thoughts import CLOSE, OPEN, inside, parted, thinks, without_thoughts
from whorl.errors import UserError
from whorl.example import Example, Pair, Weighted
from whorl.prompts.thinking import ENOUGH


@dataclass(frozen=True, slots=True)
class Taught:
    """Setting of a harvest: how much of a thought its examples keep.

    thoughts: `whole`, as they were sampled; `short`, without the words that ended one by force, and
        of the rest the first and the last `paragraphs`; or `none`. Where a template opens a thought
        by itself, a text without one closes it at once.
    paragraphs: from each end of a shortened thought.

    A mark where no thought may be, behind the first one, is left out of `short` with what it opens.
    Where a search went inside a thought, a step of that is left out of what is not `whole`: it is
    no step of anything then.
    """

    thoughts: Literal["whole", "short", "none"] = "whole"
    paragraphs: int = 2

    def __post_init__(self) -> None:
        if self.paragraphs < 1:
            raise UserError(f"paragraphs should be at least 1, not {self.paragraphs}")


AS_SAMPLED = Taught()


def taught(examples: Iterable[Example], how: Taught) -> Iterator[Example | None]:
    """The examples with their thoughts as `how` says; None for one that is a step of a thought."""
    for example in examples:
        yield example if how.thoughts == "whole" else _changed(example, how)


def _changed(example: Example, how: Taught) -> Example | None:
    prefix = example.prompt.prefix
    if thinks(prefix):
        return None
    prompt = replace(example.prompt, prefix=_kept(prefix, how))
    if prefix.strip():  # the thought is past
        how = replace(how, thoughts="none")
    if isinstance(example, Pair):
        return replace(
            example,
            prompt=prompt,
            chosen=_kept(example.chosen, how),
            rejected=_kept(example.rejected, how),
        )
    assert isinstance(example, Weighted)
    if thinks(example.text):
        return None
    return replace(example, prompt=prompt, text=_kept(example.text, how))


def _kept(text: str, how: Taught) -> str:
    """A text without thoughts, or with what is to be kept of the one it begins with."""
    if how.thoughts == "none":
        outside = without_thoughts(text)
        return text if outside == text else outside.lstrip()
    thought, rest = parted(text)
    if not thought:
        return text
    said = inside(thought).replace(ENOUGH.strip(), "").strip()
    paragraphs = [part for part in said.split("\n\n") if part.strip()]
    if len(paragraphs) > 2 * how.paragraphs:
        paragraphs = paragraphs[: how.paragraphs] + paragraphs[-how.paragraphs :]
    bare = without_thoughts(rest)
    return OPEN + "\n\n".join(paragraphs) + CLOSE + (rest if bare == rest else bare.lstrip())

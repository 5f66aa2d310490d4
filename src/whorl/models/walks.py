"""Walks: the numbers of a Countdown problem joined two at a time, as lessons for tiny models.

A walk that ends at the target is a solution. One that ends elsewhere has the same form and right
arithmetic, but its search went wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from whorl import prompts
from whorl.data.countdown import LARGEST, TARGETS, question, split_of
from whorl.data.story import final
from whorl.example import Weighted

_MOST = 400  # what is larger leads to no target


class Made(NamedTuple):
    """A number and the expression that makes it; a given number makes itself."""

    value: int
    text: str

    @property
    def operand(self) -> str:
        """The expression as it stands in a larger one."""
        return self.text if self.text.isdecimal() else f"({self.text})"

    @property
    def shown(self) -> str:
        """The expression with its value, if that is another text."""
        return self.text if self.text.isdecimal() else f"{self.operand}={self.value}"


@dataclass(frozen=True, slots=True)
class Walk:
    """Numbers joined until one is left, `end`. steps: a paragraph for each join."""

    steps: tuple[str, ...]
    end: Made

    @property
    def solution(self) -> str:
        """The walk as a reply: its steps, then its expression as the final answer."""
        return "\n\n".join((*self.steps, final(self.end.text)))


def walk(rng: Random, numbers: Sequence[int]) -> Walk:
    """A walk at random; every value on the way is whole and positive."""
    left = [Made(number, str(number)) for number in numbers]
    steps = []
    while len(left) > 1:
        one, other = rng.sample(left, 2)
        left.remove(one)
        left.remove(other)
        text, value = rng.choice(_joins(one, other))
        made = Made(value, text.format(one.operand, other.operand))
        plain = text.format(one.value, other.value)
        equation = f"{plain}={value}" if plain == made.text else f"{made.text}={plain}={value}"
        left.append(made)
        rest = f" Left: {', '.join(number.shown for number in left)}." if left[1:] else ""
        steps.append(f"{equation}.{rest}")
    return Walk(tuple(steps), left[0])


def _joins(one: Made, other: Made) -> list[tuple[str, int]]:
    """The ways to join two numbers, the larger one first: a format string of their texts, and the
    value."""
    (a, high), (b, low) = sorted(((one.value, "{0}"), (other.value, "{1}")), reverse=True)
    joins = [(f"{high}+{low}", a + b)]
    if a * b <= _MOST:
        joins.append((f"{high}*{low}", a * b))
    if a > b:
        joins.append((f"{high}-{low}", a - b))
    if a % b == 0:
        joins.append((f"{high}/{low}", a // b))
    return joins


def lesson(rng: Random, levels: Sequence[int], *, misses: bool) -> Weighted:
    """A lesson of the split `pretrain`: a problem, and a walk over its numbers that ends at the
    target, or misses it. levels: how many numbers there may be."""
    while True:
        numbers = [rng.randint(1, LARGEST) for _ in range(rng.choice(levels))]
        right, other = walk(rng, numbers), walk(rng, numbers)
        if split_of(tuple(numbers)) == "pretrain" and right.end.value in TARGETS:
            told = other if misses else right
            return Weighted(prompts.solve(question(numbers, right.end.value)), told.solution)


def drill(rng: Random, *, lines: int = 8) -> str:
    """Pairs of numbers, what is to be made of each, and the equation that makes it, one a line."""
    return "".join(f"{_pair(rng)}\n" for _ in range(lines))


def _pair(rng: Random) -> str:
    """Two numbers as they stand before the last join of a walk: each given or made of two."""
    ends = [
        walk(rng, [rng.randint(1, LARGEST) for _ in range(rng.choice((1, 2)))]).end.value
        for _ in range(2)
    ]
    made = walk(rng, ends)
    return f"{ends[0]}, {ends[1]} to make {made.end.value}: {made.steps[0]}"

"""Walks: the numbers of a Countdown problem joined two at a time, with what was tried, as lessons
for tiny models.

A tiny model cannot see which two numbers to join first, but it can join two, work out all that the
last two make, and say whether the target is among it. So a walk joins numbers until three are left
and then tries: each try is a paragraph, and the first that makes the target is the last.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from random import Random
from typing import NamedTuple

from whorl import prompts
from whorl.data.countdown import LARGEST, TARGETS, question, split_of
from whorl.data.story import final
from whorl.example import Weighted

_MOST = 400  # what is larger leads to no target
_FAILED = (0, 1, 1, 2, 2, 3)
"""How many tries of a lesson fail before one reaches the target, each equally likely."""


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


class Join(NamedTuple):
    """Two numbers made one. equation: how, in values, with what it makes."""

    made: Made
    equation: str


@dataclass(frozen=True, slots=True)
class Try:
    """Two of three numbers joined, and all that the result and the third one make. ends: those, in
    the order in which they are written."""

    join: Join
    third: Made
    ends: tuple[Join, ...]

    def told(self, target: int) -> str:
        """The try as a paragraph."""
        ends = _told(self.ends, target)
        return f"Try {self.join.equation} with {self.third.shown} to make {target}: {ends}"


@dataclass(frozen=True, slots=True)
class Walk:
    """A way through the numbers of a problem. steps: its paragraphs; end: what it comes to."""

    steps: tuple[str, ...]
    end: Made

    @property
    def solution(self) -> str:
        """The walk as a reply: its steps, then its expression as the final answer."""
        return "\n\n".join((*self.steps, final(self.end.text)))


def joins(one: Made, other: Made) -> tuple[Join, ...]:
    """The ways to join two numbers, the larger one first; every value is whole and positive."""
    high, low = sorted((one, other), key=lambda made: made.value, reverse=True)
    a, b = high.value, low.value
    found = {"+": a + b, "*": a * b, "-": a - b, "/": a // b if a % b == 0 else 0}
    return tuple(
        Join(Made(value, f"{high.operand}{sign}{low.operand}"), f"{a}{sign}{b}={value}")
        for sign, value in found.items()
        if 0 < value <= _MOST
    )


def tries(three: Sequence[Made]) -> Iterator[Try]:
    """All tries of three numbers."""
    for one, other in combinations(range(3), 2):
        third = three[3 - one - other]
        for join in joins(three[one], three[other]):
            yield Try(join, third, joins(join.made, third))


def lesson(rng: Random, levels: Sequence[int], *, misses: bool) -> Weighted:
    """A lesson of the split `pretrain`: a problem, and a walk over its numbers that ends at the
    target, or gives up after some tries. levels: how many numbers there may be, at least 3."""
    while True:
        numbers = [rng.randint(1, LARGEST) for _ in range(rng.choice(levels))]
        steps, three = _to_three(rng, numbers)
        every = list(tries(three))
        rng.shuffle(every)
        hit = next((one for one in every if one.ends), None)
        target = rng.choice(hit.ends).made.value if hit else 0
        if target in TARGETS and split_of(tuple(numbers)) == "pretrain":
            walked = _tried(rng, steps, every, target, misses=misses)
            return Weighted(prompts.solve(question(numbers, target)), walked.solution)


def _to_three(rng: Random, numbers: Sequence[int]) -> tuple[list[str], list[Made]]:
    """Numbers joined at random until three are left: a paragraph for each join, and the three."""
    left = [Made(number, str(number)) for number in numbers]
    steps = []
    while len(left) > 3:
        one, other = rng.sample(left, 2)
        join = rng.choice(joins(one, other))
        left.remove(one)
        left.remove(other)
        left.append(join.made)
        shown = ", ".join(number.shown for number in left)
        steps.append(f"Take {join.equation}. Left: {shown}.")
    return steps, left


def _tried(
    rng: Random, steps: Sequence[str], every: Sequence[Try], target: int, *, misses: bool
) -> Walk:
    """A walk that tries some that do not make the target, then one that does, or none."""
    right = [one for one in every if _makes(one.ends, target)]
    wrong = [one for one in every if one.ends and one not in right]
    failed = wrong[: max(misses, rng.choice(_FAILED))]
    shown = failed if misses and failed else [*failed, right[0]]
    ends = [end.made for end in shown[-1].ends]
    end = next((made for made in ends if made.value == target), ends[-1])
    return Walk((*steps, *(one.told(target) for one in shown)), end)


def _told(ends: Sequence[Join], target: int) -> str:
    """All that a pair of numbers makes, and whether the target is among it."""
    verdict = "Yes" if _makes(ends, target) else "No"
    return f"{', '.join(end.equation for end in ends)}. {verdict}."


def _makes(ends: Sequence[Join], target: int) -> bool:
    return any(end.made.value == target for end in ends)


def drill(rng: Random, *, lines: int = 8) -> str:
    """Pairs of numbers, all that they make, and whether that is what was wanted; one pair a
    line."""
    return "".join(f"{_pair(rng)}\n" for _ in range(lines))


def _pair(rng: Random) -> str:
    """Two numbers as they stand before the last join of a walk, one given, one made of two; what is
    wanted is among what they make, or is made of another pair."""
    ends, others = (_last(rng) for _ in range(2))
    target = rng.choice(rng.choice((ends, others))[1]).made.value
    (made, third), joined = ends
    return f"{made} with {third} to make {target}: {_told(joined, target)}"


def _last(rng: Random) -> tuple[tuple[int, int], tuple[Join, ...]]:
    one, other, third = (Made(n, str(n)) for n in (rng.randint(1, LARGEST) for _ in range(3)))
    value = rng.choice(joins(one, other)).made.value
    return (value, third.value), joins(Made(value, str(value)), third)

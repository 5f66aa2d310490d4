"""Made-up Countdown problems: make a target of given numbers with + - * / and brackets."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import combinations
from random import Random

from whorl.answer.countdown import gold
from whorl.data.synthetic import Split, split_at
from whorl.errors import UserError
from whorl.problem import Problem

LEVELS = (3, 4, 5)
"""How many numbers there are."""

LARGEST = 20
"""The largest given number; the smallest is 1."""

TARGETS = range(10, 101)
"""What is to be made."""

_PATIENCE = 5_000  # draws without a new problem before a split counts as exhausted


def problems(
    split: Split, n: int, *, seed: int, levels: Sequence[int] = LEVELS
) -> Iterator[Problem]:
    """`n` distinct solvable problems of a split, each level equally likely.

    A problem's split is decided by its numbers, whatever their order and the target, so no set of
    numbers is in two splits. Of the targets that the numbers can make each is equally likely,
    whether one expression makes it or a hundred.

    Raises `UserError` for an unknown level, or when the split has no more.
    """
    if not levels or set(levels) - set(LEVELS):
        raise UserError(f"levels of countdown are {', '.join(map(str, LEVELS))} (how many numbers)")
    rng = Random(f"countdown/{seed}/{split}")
    seen: set[tuple[tuple[int, ...], int]] = set()
    level, misses = rng.choice(levels), 0
    while len(seen) < n:
        numbers = tuple(sorted(rng.randint(1, LARGEST) for _ in range(level)))
        targets = (
            sorted(reachable(numbers).keys() & set(TARGETS)) if split_of(numbers) == split else []
        )
        target = rng.choice(targets) if targets else 0
        if not target or (numbers, target) in seen:
            misses += 1
            if misses > _PATIENCE:
                raise UserError(f"there are no more than {len(seen)} problems in {split!r}")
            continue
        seen.add((numbers, target))
        yield _problem(rng, numbers, target, split)
        level, misses = rng.choice(levels), 0


def split_of(numbers: tuple[int, ...]) -> Split:
    """The split of a problem, by a hash of its numbers in order."""
    name = " ".join(map(str, sorted(numbers)))
    return split_at(int(hashlib.sha256(f"countdown:{name}".encode()).hexdigest(), 16) % 100)


def _problem(rng: Random, numbers: tuple[int, ...], target: int, split: Split) -> Problem:
    shown = tuple(rng.sample(numbers, len(numbers)))
    return Problem(
        id=f"countdown-{'-'.join(map(str, numbers))}-{target}",
        question=question(shown, target),
        answer=gold(target, shown),
        source="countdown",
        split=split,
        level=str(len(numbers)),
        subject="countdown",
        check="countdown",
    )


def question(numbers: Sequence[int], target: int) -> str:
    """The question of a problem: two numbers or more, and what they are to make."""
    listed = f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
    return (
        f"Use each of the numbers {listed} exactly once, with +, -, *, / and brackets, to make "
        f"{target}. The answer is the expression."
    )


@cache
def reachable(numbers: tuple[int, ...]) -> dict[int, str]:
    """Every value that an expression of all the numbers has, with one such expression; all on the
    way to it are whole and positive.

    numbers: in ascending order, five at most; six take a minute.
    """
    if len(numbers) == 1:
        return {numbers[0]: str(numbers[0])}
    found: dict[int, str] = {}
    places = range(len(numbers))
    for size in range(1, len(numbers) // 2 + 1):
        for chosen in combinations(places, size):
            rest = tuple(numbers[place] for place in places if place not in chosen)
            some = tuple(numbers[place] for place in chosen)
            for value, text in _joined(reachable(some), reachable(rest)):
                found.setdefault(value, text)
    return found


def _joined(one: dict[int, str], other: dict[int, str]) -> Iterator[tuple[int, str]]:
    for left, left_text in one.items():
        for right, right_text in other.items():
            (low, low_text), (high, high_text) = sorted(((left, left_text), (right, right_text)))
            yield low + high, f"({low_text}+{high_text})"
            yield low * high, f"({low_text}*{high_text})"
            if high > low:
                yield high - low, f"({high_text}-{low_text})"
            if high % low == 0:
                yield high // low, f"({high_text}/{low_text})"

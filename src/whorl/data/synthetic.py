"""Made-up arithmetic problems in any number, in splits that can never meet."""

from collections.abc import Iterator, Sequence
from itertools import islice
from random import Random
from typing import Literal, get_args

from whorl.data.families import LEVELS, draw
from whorl.data.story import Story
from whorl.errors import UserError
from whorl.problem import Problem

Split = Literal["test", "dev", "pool", "pretrain"]

_FIRST = {"pretrain": 55, "pool": 15, "dev": 10, "test": 0}  # percentile at which a split begins
_PATIENCE = 20_000  # draws without a new story before a split counts as exhausted


def split_of(story: Story) -> Split:
    """The split of a story, decided by a hash of its arithmetic, so that the same problem in other
    words, from any seed, is always in the same split."""
    return split_at(int(story.digest, 16) % 100)


def split_at(percentile: int) -> Split:
    """The split that a percentile from 0 to 99 falls in."""
    return next(split for split in get_args(Split)[::-1] if percentile >= _FIRST[split])


def stories(split: Split, *, seed: int, levels: Sequence[int] = LEVELS) -> Iterator[Story]:
    """Endless distinct stories of a split, each level equally likely; a level given twice is twice
    as likely. Raises `UserError` when the split has no more."""
    unknown = sorted(set(levels) - set(LEVELS))
    if unknown or not levels:
        raise UserError(f"no problems of level {unknown or 'none'}; levels are 1 to {LEVELS[-1]}")
    rng = Random(f"{seed}/{split}")
    seen: set[str] = set()
    level = rng.choice(levels)
    misses = 0
    while True:
        story = draw(rng, level)
        if story.digest in seen or split_of(story) != split:
            misses += 1
            if misses > _PATIENCE:
                raise UserError(
                    f"there are no more than {len(seen)} problems in {split!r} "
                    f"at levels {sorted(set(levels))}; ask for fewer or for higher levels"
                )
            continue
        misses = 0
        seen.add(story.digest)
        yield story
        level = rng.choice(levels)


def generate(split: Split, n: int, *, seed: int, levels: Sequence[int] = LEVELS) -> Iterator[Story]:
    """The first `n` of `stories`."""
    return islice(stories(split, seed=seed, levels=levels), n)


def problems(
    split: Split, n: int, *, seed: int, levels: Sequence[int] = LEVELS
) -> Iterator[Problem]:
    """The problems of `generate`, without solutions."""
    return (story.problem(split) for story in generate(split, n, seed=seed, levels=levels))

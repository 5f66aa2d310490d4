"""Problems that nearly repeat an earlier one, found by MinHash (datasketch) and checked exactly."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from whorl.data.contamination import words
from whorl.data.selection import Dropped, OnDrop
from whorl.errors import UserError
from whorl.problem import Problem, plain

ALIKE = 0.8  # Jaccard similarity of the shingles; the usual threshold for training text
SHINGLE = 3  # words; questions are short, and with 5 one changed word of forty would be too much

_COUNTS = re.compile(r"\d+|[-+*/^=<>]")


def without_near_duplicates(problems: Iterable[Problem], *, on_drop: OnDrop) -> Iterator[Problem]:
    """The problems that are no near duplicate of an earlier one, as a stream.

    A near duplicate has the same numbers and signs in the same order, and at least `ALIKE` of its
    shingles in common: a problem with other numbers is another problem. Memory grows with what is
    kept: its shingles and its signature. Raises `UserError` without datasketch.
    """
    try:
        from datasketch import MinHash, MinHashLSH  # type: ignore[import-untyped]
    except ImportError:
        raise UserError("near duplicates need datasketch: pip install 'whorl[dedup]'") from None
    near: Any = MinHashLSH(threshold=ALIKE, num_perm=128)
    empty: Any = MinHash(num_perm=128)  # its permutations are drawn once
    kept: dict[str, tuple[list[str], frozenset[str]]] = {}
    for problem in problems:
        numbers = _COUNTS.findall(plain(problem.question))
        own = _shingles(words(problem.question))
        signature = empty.copy()
        signature.update_batch([shingle.encode() for shingle in own])
        alike = {
            other: len(own & kept[other][1]) / len(own | kept[other][1])
            for other in near.query(signature)
            if kept[other][0] == numbers
        }
        of = max(sorted(alike), key=alike.__getitem__, default="")
        if of and alike[of] >= ALIKE:
            on_drop(Dropped(problem.id, "nearly repeats another problem", of, alike[of]))
        else:
            near.insert(problem.id, signature)
            kept[problem.id] = numbers, own
            yield problem


def nearly_repeats(question: str, other: str) -> bool:
    """Whether a question is a near duplicate of another, as `without_near_duplicates` has it."""
    if _COUNTS.findall(plain(question)) != _COUNTS.findall(plain(other)):
        return False
    own, theirs = _shingles(words(question)), _shingles(words(other))
    return len(own & theirs) >= ALIKE * len(own | theirs)


def _shingles(own: list[str]) -> frozenset[str]:
    """Runs of `SHINGLE` words; a shorter text is one run."""
    starts = range(max(1, len(own) - SHINGLE + 1))
    return frozenset(" ".join(own[start : start + SHINGLE]) for start in starts)

"""The problems of a run: those to grow trees for, and those that are held out and watched."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import nsmallest
from itertools import islice

from whorl.data.contamination import (
    fingerprints_of_problems,
    ids_among,
    refuse_shared,
)
from whorl.data.problems import read_problems
from whorl.data.shown import check_examples
from whorl.errors import UserError
from whorl.loop.run import Run
from whorl.problem import Problem
from whorl.recipe import words_of
from whorl.watch import Watch


@dataclass(slots=True)
class Survey:
    """Counts of a file of problems: those to grow trees for in a round, those held out, and bad
    lines, the first of which is described."""

    problems: int = 0
    held: int = 0
    bad: int = 0
    first_bad: str = ""

    def skip(self, line: int, reason: str) -> None:
        self.bad += 1
        self.first_bad = self.first_bad or f"line {line}: {reason}"


def survey(run: Run) -> Survey:
    """Read the problems of a run once and count them. Raises `UserError` if they cannot be used, or
    if a question among them is also a test question."""
    found = Survey()
    known = fingerprints_of_problems(run.test) if run.test else ()
    both: list[str] = []
    for problem in _read(run, found.skip):
        both += ids_among([problem], known)
        if _is_held_out(problem, run):
            found.held += 1
        else:
            found.problems += 1
    if run.test:
        refuse_shared(both, run.problems, run.test)
        check_examples(words_of(run.recipe), run.test)
    if run.patience and not (found.held and found.problems):
        raise UserError(
            f"holdout = {run.holdout} divides {found.held + found.problems:,} problems into "
            f"{found.problems:,} to learn from and {found.held:,} to watch; both need some"
        )
    found.problems = min(found.problems, run.questions or found.problems)
    return found


def tell_bad(found: Survey, run: Run, watch: Watch) -> None:
    """Tell which lines of the problems were passed over, if any were."""
    if found.bad:
        watch.say(f"passed over {found.bad:,} bad lines of {run.problems} ({found.first_bad})")


def problems_of(run: Run, number: int = 1) -> Iterator[Problem]:
    """The problems to grow trees for in a round, from 1, in the order of the file."""
    some = (problem for problem in _read(run, None) if not _is_held_out(problem, run))
    if run.questions is None:
        return some
    lots = ((lot(f"{run.seed}/{number}/{p.id}"), p.id) for p in some)
    drawn = {name for _, name in nsmallest(run.questions, lots)}
    return (problem for problem in _read(run, None) if problem.id in drawn)


def held_out(run: Run) -> Iterator[Problem]:
    """The problems that are watched instead of learned from."""
    return (problem for problem in _read(run, None) if _is_held_out(problem, run))


def _read(run: Run, on_skip: Callable[[int, str], None] | None) -> Iterator[Problem]:
    problems = read_problems(run.problems, skip_bad=run.skip_bad, on_skip=on_skip)
    return islice(problems, run.limit)


def _is_held_out(problem: Problem, run: Run) -> bool:
    """Whether a problem is held out: decided by its id alone, so that more problems or another seed
    move none."""
    if not run.patience:
        return False
    return lot(problem.id) < run.holdout * 2**64


def lot(text: str) -> int:
    """A number below 2^64 that a text alone decides."""
    lot = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(lot)

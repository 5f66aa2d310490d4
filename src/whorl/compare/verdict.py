"""What a comparison found: each student and its scores, and what is said of a method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whorl.compare.methods import Method
from whorl.evaluate import Paired, Rate, Score, paired, paired_over, pass_rate, pass_rate_over

KS = (1, 4, 8)
"""Pass@k is told for these k, as far as there are so many samples."""


@dataclass(frozen=True, slots=True)
class Point:
    """One student of a method and what it took.

    tokens: sampled for this student and those before it; left_out: sampled and not used.
    problems, passes, trees, failed: of this student's trees; a pass may have been cut short.
    examples: learned from. trained_tokens: their completions' tokens, times the epochs.
    dropped, tally: of the harvest.
    wall, cpu: seconds of growing, training and measuring since the student before.
    """

    tokens: int
    left_out: int
    problems: int
    passes: int
    trees: int
    failed: int
    examples: int
    trained_tokens: int
    dropped: Mapping[str, int]
    tally: Mapping[str, int]
    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Student:
    """A point with its scores: greedy, and sampled for pass@k."""

    point: Point
    greedy: Sequence[Score]
    sampled: Sequence[Score]


@dataclass(frozen=True, slots=True)
class Result:
    """One method under one seed; the last student has used all the tokens."""

    entry: Method
    seed: int
    students: Sequence[Student]

    @property
    def last(self) -> Student:
        return self.students[-1]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a comparison found; results in the order of entries, then seeds."""

    base: tuple[Sequence[Score], Sequence[Score]]
    results: Sequence[Result]

    def ks(self) -> list[int]:
        """The k that there are attempts enough for."""
        return [k for k in KS if k <= max(len(score.right) for score in self.base[1])]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is said of a method: of one seed, or of all of them.

    accuracy: of a greedy attempt. passed: k -> pass@k.
    against_base, against_rft: of the greedy attempts; the latter pairs students of the same seed,
        and is None without RFT and for RFT itself.
    """

    accuracy: Rate
    passed: Mapping[int, Rate]
    against_base: Paired
    against_rft: Paired | None


def weigh(outcome: Outcome, result: Result) -> Finding:
    """One method under one seed. Intervals and tests are those of `pass_rate` and `paired`."""
    rft = _rft(outcome, result)
    greedy, sampled = result.last.greedy, result.last.sampled
    return Finding(
        pass_rate(greedy, 1),
        {k: pass_rate(sampled, k) for k in outcome.ks()},
        paired(outcome.base[0], greedy),
        paired(rft.last.greedy, greedy) if rft else None,
    )


def pool(outcome: Outcome, results: Sequence[Result]) -> Finding:
    """One method over its seeds. Intervals and tests are those of `pass_rate_over` and
    `paired_over`."""
    rfts = [_rft(outcome, result) for result in results]
    pairs = [
        (rft.last.greedy, result.last.greedy)
        for rft, result in zip(rfts, results, strict=True)
        if rft
    ]
    return Finding(
        pass_rate_over([result.last.greedy for result in results], 1),
        {k: pass_rate_over([r.last.sampled for r in results], k) for k in outcome.ks()},
        paired_over([(outcome.base[0], result.last.greedy) for result in results]),
        paired_over(pairs) if pairs else None,
    )


def _rft(outcome: Outcome, result: Result) -> Result | None:
    found = (r for r in outcome.results if r.entry.name == "rft" and r.seed == result.seed)
    return None if result.entry.name == "rft" else next(found, None)

"""The results of a comparison: each student with its scores, and figures of each method."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from whorl.compare.methods import Method
from whorl.data.atomic import replacing
from whorl.evaluate import (
    Paired,
    Rate,
    Score,
    paired,
    paired_over,
    pass_rate,
    pass_rate_over,
    read_scores,
)

KS = (1, 4, 8)
"""Pass@k is told for these k, as far as there are so many samples."""


@dataclass(frozen=True, slots=True)
class Point:
    """Cost of one student of a method: trees, examples, tokens and seconds.

    tokens: sampled for this student and those before it; left_out: sampled and not used.
    problems, passes, trees, failed: of this student's trees; a pass may have been cut short.
    cost: tokens of this student's trees by role.
    examples: learned from. trained_tokens: their completions' tokens, times the epochs.
    dropped, tally: of the harvest.
    entropy: nats; of the answers to a question in one pass of the trees; see `Variety`.
    growing_wall, growing_cpu: seconds in which all of this student's trees were grown.
    wall, cpu: seconds of harvesting, training and measuring. All are of all calls that worked on
        it, however each ended; of one that was killed the last second is not known.
    """

    tokens: int
    left_out: int
    problems: int
    passes: int
    trees: int
    failed: int
    cost: Mapping[str, int]
    examples: int
    trained_tokens: int
    dropped: Mapping[str, int]
    tally: Mapping[str, int]
    entropy: float = 0.0
    growing_wall: float = 0.0
    growing_cpu: float = 0.0
    wall: float = 0.0
    cpu: float = 0.0


@dataclass(frozen=True, slots=True)
class Student:
    """A trained model in a comparison: its cost, its scores of one greedy attempt per problem, and
    of several sampled ones for pass@k (empty if none were made)."""

    point: Point
    greedy: Sequence[Score]
    sampled: Sequence[Score]


@dataclass(frozen=True, slots=True)
class MethodResult:
    """The students of one method under one seed; the last one has used all the tokens."""

    method: Method
    seed: int
    students: Sequence[Student]

    @property
    def last(self) -> Student:
        return self.students[-1]

    @property
    def counted(self) -> Sequence[Student]:
        """The students whose trees add up to the method's: in rounds all of them, else the last,
        whose trees contain those of the others."""
        return self.students if self.method.rounds else self.students[-1:]

    @property
    def left_out(self) -> int:
        return sum(student.point.left_out for student in self.counted)

    @property
    def problems(self) -> int:
        """Problems that have a tree; in rounds, in the one that reached most."""
        return max(student.point.problems for student in self.counted)

    @property
    def passes(self) -> int:
        """Passes over the problems, in all rounds."""
        return sum(student.point.passes for student in self.counted)

    @property
    def failed(self) -> int:
        return sum(student.point.failed for student in self.counted)

    @property
    def trees(self) -> int:
        return sum(student.point.trees for student in self.counted)

    @property
    def examples(self) -> int:
        return sum(student.point.examples for student in self.counted)

    @property
    def trained_tokens(self) -> int:
        return sum(student.point.trained_tokens for student in self.counted)

    @property
    def entropy(self) -> float:
        """Entropy of the answers in the trees that were learned from, a mean over the students that
        are counted."""
        return fmean(student.point.entropy for student in self.counted)

    @property
    def wall(self) -> float:
        """Seconds of growing, training and measuring."""
        return sum(student.point.growing_wall for student in self.counted) + sum(
            student.point.wall for student in self.students
        )

    @property
    def cpu(self) -> float:
        """Seconds of growing, training and measuring, in the processes that did so."""
        return sum(student.point.growing_cpu for student in self.counted) + sum(
            student.point.cpu for student in self.students
        )


@dataclass(frozen=True, slots=True)
class Findings:
    """The results of a comparison.

    base: greedy and sampled scores of the base model.
    results: in the order of the methods, then of the seeds.
    """

    base: tuple[Sequence[Score], Sequence[Score]]
    results: Sequence[MethodResult]

    def by_method(self) -> Iterator[tuple[str, list[MethodResult]]]:
        """The results of each method, by seed."""
        for name in dict.fromkeys(result.method.name for result in self.results):
            yield name, [result for result in self.results if result.method.name == name]

    def ks(self) -> list[int]:
        """The k of `KS` for which there are attempts enough."""
        return [k for k in KS if k <= max((len(score.right) for score in self.base[1]), default=0)]


def write_point(home: Path, point: Point) -> None:
    """Write a student's `Point` into its folder. It is the last file there, so it means
    complete."""
    with replacing(home / "point.json") as file:
        file.write(json.dumps(asdict(point), indent=2).encode() + b"\n")


def has_student(home: Path) -> bool:
    """Whether the student of a folder is trained and measured, on every problem."""
    return (home / "point.json").exists() and not any(home.glob("*.journal.db"))


def read_student(home: Path) -> Student:
    """Read the student of a folder."""
    point = Point(**json.loads((home / "point.json").read_text()))
    return Student(point, *read_both_scores(home))


def read_both_scores(home: Path) -> tuple[Sequence[Score], Sequence[Score]]:
    """Read greedy and sampled scores of a folder; the sampled ones are empty where none were
    made."""
    sampled = home / "sampled.jsonl"
    return read_scores(home / "greedy.jsonl"), read_scores(sampled) if sampled.exists() else ()


@dataclass(frozen=True, slots=True)
class MethodFigures:
    """Accuracy, pass@k and paired differences of a method, under one seed or over all of them.

    accuracy: of a greedy attempt. passed: k -> pass@k.
    against_base, against_rft: of the greedy attempts; the latter pairs students of the same seed,
        and is None without RFT and for RFT itself.
    """

    accuracy: Rate
    passed: Mapping[int, Rate]
    against_base: Paired
    against_rft: Paired | None


def figures_of_seed(findings: Findings, result: MethodResult) -> MethodFigures:
    """The figures of a method under one seed, with intervals and tests of `pass_rate`, `paired`."""
    rft = _rft(findings, result)
    greedy, sampled = result.last.greedy, result.last.sampled
    return MethodFigures(
        pass_rate(greedy, 1),
        {k: pass_rate(sampled, k) for k in findings.ks()},
        paired(findings.base[0], greedy),
        paired(rft.last.greedy, greedy) if rft else None,
    )


def figures_over_seeds(findings: Findings, results: Sequence[MethodResult]) -> MethodFigures:
    """The figures of a method over its seeds, with intervals and tests of `pass_rate_over` and
    `paired_over`."""
    rfts = [_rft(findings, result) for result in results]
    pairs = [
        (rft.last.greedy, result.last.greedy)
        for rft, result in zip(rfts, results, strict=True)
        if rft
    ]
    return MethodFigures(
        pass_rate_over([result.last.greedy for result in results], 1),
        {k: pass_rate_over([r.last.sampled for r in results], k) for k in findings.ks()},
        paired_over([(findings.base[0], result.last.greedy) for result in results]),
        paired_over(pairs) if pairs else None,
    )


def _rft(findings: Findings, result: MethodResult) -> MethodResult | None:
    """The result of RFT under the seed of `result`, another method's."""
    found = (r for r in findings.results if r.method.name == "rft" and r.seed == result.seed)
    return None if result.method.name == "rft" else next(found, None)

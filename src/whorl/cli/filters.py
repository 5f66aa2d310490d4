"""Filters of problems as `whorl problems` takes them: test sets, pass rates, near duplicates."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from whorl.errors import UserError

if TYPE_CHECKING:
    from whorl.data.contamination import Known
    from whorl.data.selection import Dropped
    from whorl.problem import Problem

    Filter = Callable[[Iterator[Problem]], Iterator[Problem]]

SHOWN = 5  # reasons why rows are no problems


@dataclass(slots=True)
class Noted:
    """Notes that the user is told at the end of the command.

    rows: rows that are no problems: why -> how many, and the first of them.
    """

    test: list[str] = field(default_factory=list)
    rows: dict[str, tuple[int, int]] = field(default_factory=dict)
    dropped: list["Dropped"] = field(default_factory=list)

    def row(self, number: int, why: str) -> None:
        count, first = self.rows.get(why, (0, number))
        self.rows[why] = count + 1, first

    def lines(self) -> Iterator[str]:
        yield from self.test
        rows = sorted(self.rows.items(), key=lambda row: (-row[1][0], row[1][1]))
        for why, (count, first) in rows[:SHOWN]:
            yield f"no problem: {why}: {count:,}, the first in line {first:,}"
        if len(rows) > SHOWN:
            yield f"no problem: other reasons: {sum(c for _, (c, _) in rows[SHOWN:]):,}"
        for why, count in sorted(Counter(each.why for each in self.dropped).items()):
            yield f"dropped: {why}: {count:,}"


def filters_of(  # noqa: PLR0913 (each parameter is an option)
    against: Sequence[str],
    overlap: float,
    at: Path | None,
    scores: Path | None,
    pass_rate: str,
    near_duplicates: bool,
    noted: Noted,
) -> list["Filter"]:
    """The filters that the options name, in the order in which they apply. Test sets and scores are
    read first."""
    from whorl.data.contamination import without_test_problems
    from whorl.data.duplicates import without_near_duplicates
    from whorl.data.selection import solved_sometimes

    filters: list[Filter] = []
    drop = noted.dropped.append
    if bool(scores) != bool(pass_rate):
        raise UserError("--scores and --pass-rate go together, e.g. --pass-rate 0.1:0.9")
    if overlap and not against:
        raise UserError("--overlap is for --against, which names a test set")
    if against:
        known = _known(against, at, noted)
        filters.append(
            lambda found: without_test_problems(found, known, overlap=overlap, on_drop=drop)
        )
    if scores:
        (low, high), rates = _bounds(pass_rate), _rates(scores)
        filters.append(_only_those_of(scores))
        filters.append(lambda found: solved_sometimes(found, rates, low, high, on_drop=drop))
    if near_duplicates:
        filters.append(lambda found: without_near_duplicates(found, on_drop=drop))
    return filters


def _known(against: Sequence[str], at: Path | None, noted: Noted) -> "Known":
    """The wording of all test sets together."""
    from whorl.data.contamination import Known
    from whorl.data.hub import load_benchmark
    from whorl.data.problems import read_problems

    known = Known()
    for test in against:
        before, bad = known.problems, Noted()
        name, _, split = test.partition(":")
        known.add(
            read_problems(test, skip_bad=True, on_skip=bad.row)
            if is_file(test)
            else load_benchmark(name, split=split or "test", at=at, on_skip=bad.row)
        )
        lost = sum(count for count, _ in bad.rows.values())
        more = f"; {lost:,} lines of it are no problems and were not compared" if lost else ""
        noted.test.append(f"compared with {test}: {known.problems - before:,} problems{more}")
    return known


def _bounds(pass_rate: str) -> tuple[float, float]:
    try:
        low, high = (float(bound) for bound in pass_rate.split(":"))
    except ValueError:
        low, high = 1.0, 0.0
    if not 0 <= low <= high <= 1:
        raise UserError(f"--pass-rate {pass_rate}: two shares are expected, e.g. 0.1:0.9")
    return low, high


def _rates(scores: Path) -> dict[str, float]:
    """Problem id -> share of its attempts that are right, without problems that have no
    attempts."""
    from whorl.evaluate import read_scores

    return {
        score.id: score.right.count(1.0) / len(score.right)
        for score in read_scores(scores)
        if score.right
    }


def _only_those_of(scores: Path) -> "Filter":
    """A filter that lets all pass, and raises `UserError` at a problem that has the id of one that
    `scores` are of and is another, as far as the texts beside them say."""
    from whorl.evaluate.alike import Asked, check_questions, worded

    asked = Asked.of_scores(scores)
    known = worded(asked.read()) if asked.known else {}

    def passed(found: Iterator["Problem"]) -> Iterator["Problem"]:
        for problem in found:
            check_questions(asked.name, known, "the problems to filter", [problem])
            yield problem

    return passed


def is_file(source: str) -> bool:
    """Whether `source` names a file: names of data sets have neither a folder nor an ending."""
    return "." in source or "/" in source or "\\" in source or Path(source).is_file()

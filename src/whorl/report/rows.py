"""Scores and counts as the rows of a report."""

from collections.abc import Iterator, Mapping, Sequence

from whorl.evaluate import Rate, Score, paired, pass_rate, summarise
from whorl.report.content import Cells, Figure, Interval, Level, ResultRow


def interval(rate: Rate) -> Interval:
    """A rate as the report shows it."""
    return Interval(rate.value, rate.low, rate.high)


def row(name: str, before: Sequence[Score], after: Sequence[Score]) -> ResultRow:
    """Row of one model: `after`, compared with `before` on the same problems."""
    change = paired(before, after)
    return ResultRow(
        name,
        interval(pass_rate(after, 1)),
        change.problems,
        fixed=change.fixed,
        broken=change.broken,
        difference=interval(change.gain),
        p_value=change.p_value,
    )


def reference(name: str, scores: Sequence[Score]) -> ResultRow:
    """Row of the model that others are compared with."""
    return ResultRow(name, interval(pass_rate(scores, 1)), len(scores))


def levels(before: Sequence[Score], after: Sequence[Score]) -> Iterator[Level]:
    """Accuracy by level, of the problems that have one."""
    now = summarise(after).levels
    for name, (count, rate) in summarise(before).levels.items():
        if name:
            yield Level(name, count, interval(rate), interval(now[name][1]))


OUTCOMES = ("right to right", "right to wrong", "wrong to right", "wrong to wrong")
"""Outcomes before and after refinement, as recipes count them."""


def cells(tally: Mapping[str, int]) -> Cells | None:
    """Outcomes before and after refinement; None if nothing was refined."""
    return Cells(*(tally.get(word, 0) for word in OUTCOMES)) if set(OUTCOMES) & set(tally) else None


def figures(counts: Mapping[str, int]) -> tuple[Figure, ...]:
    """Counters, in their order."""
    return tuple(Figure(label, count) for label, count in counts.items())

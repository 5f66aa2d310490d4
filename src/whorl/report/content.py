"""Content of a page about a run or a comparison, before it has a shape."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from whorl.evaluate import Record
from whorl.tree import Tree


@dataclass(frozen=True, slots=True)
class Interval:
    """A measured number and its 95 % interval; shares are in [0, 1], differences in [-1, 1]."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Figure:
    """One labelled value, e.g. `seconds`, `412`, `of which set-up 63`; integers are grouped."""

    label: str
    value: str | int
    note: str = ""


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One method in the table of results; None is shown as a dash.

    accuracy: share of right answers.
    n: problems it was measured on.
    fixed, broken: problems the reference got wrong and this one right, and the reverse, by the
        first attempts.
    difference: accuracy minus the reference's.
    p_value: of the paired test of the first attempts against the reference's.
    examples: training examples used.
    tokens: generated to make them.
    """

    name: str
    accuracy: Interval
    n: int
    fixed: int | None = None
    broken: int | None = None
    difference: Interval | None = None
    p_value: float | None = None
    examples: int | None = None
    tokens: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Curve:
    """Shares measured after so many generated tokens, fewest first."""

    name: str
    points: tuple[tuple[int, Interval], ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves side by side, each beside `reference`; `base` is the share before any training."""

    title: str
    base: Interval
    curves: tuple[Curve, ...]
    reference: Curve | None = None


@dataclass(frozen=True, slots=True)
class Level:
    """Accuracy on the `n` held-out problems of one level, before and after training."""

    name: str
    n: int
    before: Interval
    after: Interval


@dataclass(frozen=True, slots=True)
class Cells:
    """Trees by outcome before and after refinement, e.g. `wrong_right` was repaired."""

    right_right: int
    right_wrong: int
    wrong_right: int
    wrong_wrong: int


@dataclass(frozen=True, slots=True)
class FigureTable:
    """A titled list of figures: a group of counters, or of settings. folded: shown when asked
    for."""

    title: str
    lines: tuple[Figure, ...]
    note: str = ""
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Bars:
    """A histogram: a label and a count for each bar, and perhaps a share in [0, 1] of each."""

    title: str
    bars: tuple[tuple[str, int, float | None], ...]
    note: str = ""

    @property
    def most(self) -> int:
        return max((count for _, count, _ in self.bars), default=0)

    @property
    def shares(self) -> bool:
        return any(share is not None for _, _, share in self.bars)


@dataclass(frozen=True, slots=True)
class Taught:
    """A training example: the node it came from, the rejected one, its weight, and where its line
    begins in the file of examples."""

    node: int
    rejected: int | None
    weight: float | None
    start: int


@dataclass(frozen=True, slots=True)
class ReportTree:
    """A tree, the examples that came of it, and reasons why others were left out, with counts."""

    tree: Tree
    taught: tuple[Taught, ...] = ()
    dropped: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Changed:
    """A held-out problem whose verdict changed, and in which way; what each model wrote."""

    change: str
    sides: tuple[tuple[str, Record], ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Content of a page, in reading order; empty parts are left out.

    lead: the outcome in one sentence.
    rows: the first one is the reference the others are compared with.
    rounds: figures of each round, as `metrics.jsonl` has them.
    remarks: what a reader must know to judge the figures.
    trees: shown as far as the page may grow; 6 to 20 read well.
    """

    title: str
    lead: str
    figures: tuple[Figure, ...] = ()
    rows: tuple[ResultRow, ...] = ()
    charts: tuple[Chart, ...] = ()
    rounds: tuple[Mapping[str, Any], ...] = ()
    remarks: tuple[str, ...] = ()
    levels: tuple[Level, ...] = ()
    cells: Cells | None = None
    bars: tuple[Bars, ...] = ()
    counters: tuple[FigureTable, ...] = ()
    attempts: tuple[Changed, ...] = ()
    trees: tuple[ReportTree, ...] = ()
    settings: tuple[FigureTable, ...] = ()

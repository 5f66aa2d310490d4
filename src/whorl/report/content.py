"""Content of a report, before it has a shape."""

from dataclasses import dataclass

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
    fixed, broken: problems the reference got wrong and this one right, and the reverse.
    difference: accuracy minus the reference's.
    p_value: of the paired test against the reference.
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
    """A titled list of figures: a group of counters, or of settings."""

    title: str
    lines: tuple[Figure, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Content of a page, in reading order; empty parts are left out.

    lead: the outcome in one sentence.
    rows: the first one is the reference the others are compared with.
    remarks: what a reader must know to judge the figures.
    trees: shown in full up to a limit; 6 to 20 read well.
    """

    title: str
    lead: str
    figures: tuple[Figure, ...] = ()
    rows: tuple[ResultRow, ...] = ()
    charts: tuple[Chart, ...] = ()
    remarks: tuple[str, ...] = ()
    levels: tuple[Level, ...] = ()
    cells: Cells | None = None
    counters: tuple[FigureTable, ...] = ()
    trees: tuple[Tree, ...] = ()
    settings: tuple[FigureTable, ...] = ()

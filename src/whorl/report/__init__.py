"""Parts of pages about runs: their content, plots of it, and steps side by side."""

from whorl.report.content import (
    Bars,
    Cells,
    Changed,
    Chart,
    Curve,
    Figure,
    FigureTable,
    Interval,
    Level,
    Report,
    ReportTree,
    ResultRow,
    Taught,
)

__all__ = [
    "Bars",
    "Cells",
    "Changed",
    "Chart",
    "Curve",
    "Figure",
    "FigureTable",
    "Interval",
    "Level",
    "Report",
    "ReportTree",
    "ResultRow",
    "Taught",
]

"""The report of a run or a comparison, as one self-contained HTML page that needs no network."""

from whorl.report.content import (
    Cells,
    Chart,
    Curve,
    Figure,
    FigureTable,
    Interval,
    Level,
    Report,
    ResultRow,
)
from whorl.report.page import write_report

__all__ = [
    "Cells",
    "Chart",
    "Curve",
    "Figure",
    "FigureTable",
    "Interval",
    "Level",
    "Report",
    "ResultRow",
    "write_report",
]

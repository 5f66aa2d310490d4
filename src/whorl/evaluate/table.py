"""Evaluations side by side, for people and for data frames."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from whorl.evaluate.alike import Asked, check_alike
from whorl.evaluate.measures import pass_rate
from whorl.evaluate.pairing import paired
from whorl.evaluate.scores import Score, read_scores


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of figures: `print` aligns them, a notebook shows them, `pandas.DataFrame(table.rows)`
    takes them. Shares are between 0 and 1 in `rows`, and percent where they are shown."""

    rows: tuple[Mapping[str, object], ...]

    def __str__(self) -> str:
        lines = [list(self.rows[0]), *map(_cells, self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in self.rows[0])
        rows = ("".join(f"<td>{escape(cell)}</td>" for cell in _cells(row)) for row in self.rows)
        return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def table(**evaluations: Sequence[Score] | Path | str) -> Table:
    """Evaluations of the same problems by name, a row each: pass@1 with its 95 % interval, and
    against the first one the change and a p-value (exact McNemar test of the first attempts).

    evaluations: scores, or the files that hold them. Raises `UserError` if they are not of the same
    problems, ValueError if there is none.
    """
    if not evaluations:
        raise ValueError("a table needs an evaluation")
    files = (Path(given) for given in evaluations.values() if isinstance(given, Path | str))
    asked = [Asked.of_scores(file) for file in files]
    for other in asked[1:]:
        check_alike(asked[0], other)
    read = {
        name: read_scores(Path(given)) if isinstance(given, Path | str) else given
        for name, given in evaluations.items()
    }
    first, rows = next(iter(read.values())), []
    for name, scores in read.items():
        rate = pass_rate(scores, 1)
        change = paired(first, scores) if scores is not first else None
        rows.append(
            {
                "": name,
                "problems": len(scores),
                "pass@1": rate.value,
                "low": rate.low,
                "high": rate.high,
                "change": change.gain.value if change else None,
                "p": change.p_value if change else None,
            }
        )
    return Table(tuple(rows))


def _cells(row: Mapping[str, object]) -> list[str]:
    """A row for people: shares in percent."""
    return [
        ""
        if cell is None
        else f"{cell:.2g}"
        if name == "p"
        else f"{100 * cell:.1f} %"
        if isinstance(cell, float)
        else f"{cell}"
        for name, cell in row.items()
    ]

"""Lays a report out as one HTML file and writes it in one piece."""

import os
from base64 import b64encode
from contextlib import suppress
from hashlib import sha256
from importlib import resources
from pathlib import Path

from markupsafe import Markup

from whorl.errors import UserError
from whorl.report.content import Report
from whorl.report.plots import accuracy_plot, curve_plot, level_plot
from whorl.report.templates import environment
from whorl.report.trees import view

TREES = 20  # that are shown


def write_report(path: Path, report: Report) -> None:
    """Write `report` to `path` as one HTML file that loads nothing from anywhere.

    The same report gives the same bytes. A file that was there is replaced at once or not at all.
    Raises UserError if it cannot be written.
    """
    page = render(report).encode()
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        _tidy(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        reason = error.strerror or str(error)
        raise UserError(f"cannot write the report {path}: {reason}; choose another place") from None


def _tidy(path: Path) -> None:
    """Remove files of processes that were killed while they wrote the same report."""
    for draft in path.parent.glob(f".{path.name}.*"):
        writer = draft.name.rpartition(".")[2]
        if writer.isdecimal():
            try:
                os.kill(int(writer), 0)
            except ProcessLookupError:
                draft.unlink(missing_ok=True)
            except OSError:  # somebody else's
                pass


def render(report: Report) -> str:
    """The page; only style and script named by their hash in its policy can take effect."""
    style, script = _read("page.css"), _read("page.js")
    return (
        environment(_read)
        .get_template("page.html")
        .render(
            report=report,
            accuracy_plot=Markup(accuracy_plot(report.rows)) if report.rows else "",
            charts=[(chart, Markup(curve_plot(chart))) for chart in report.charts],
            level_plot=Markup(level_plot(report.levels)) if report.levels else "",
            trees=[view(tree) for tree in report.trees[:TREES]],
            trees_left_out=max(0, len(report.trees) - TREES),
            style=Markup(style),
            script=Markup(script),
            policy=f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
            "base-uri 'none'; form-action 'none'",
        )
    )


def _read(name: str) -> str:
    return resources.files("whorl.report").joinpath(name).read_text("utf-8")


def _hash(source: str) -> str:
    return f"sha256-{b64encode(sha256(source.encode()).digest()).decode()}"

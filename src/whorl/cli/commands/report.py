"""`whorl report`."""

from pathlib import Path
from typing import Annotated

import typer

from whorl.cli import options

EXAMPLES = (
    "whorl report runs/a",
    "whorl report runs/a --out a.html",
)


def report(
    run: options.RunFolderArgument,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write; RUN/report.html if not given.", show_default=False),
    ] = None,
) -> None:
    """Write what a run found as one HTML page that needs no network."""
    from whorl.cli.display import Display
    from whorl.loop.folder import RunFolder
    from whorl.view.report import write_report
    from whorl.view.shelf import Shown
    from whorl.view.summary import summary

    page = out or run / "report.html"
    write_report(page, summary(Shown(RunFolder.read(run).path, run.resolve().name)))
    Display().wrote(page, "report; open it in a browser")

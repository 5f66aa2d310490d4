"""`whorl view`."""

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = (
    "whorl view runs/a",
    "whorl view runs/a runs/b --port 8123",
    "whorl view before.jsonl after.jsonl",
    "whorl view runs/a --bundle pages",
)


def view(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN|FILE...",
            help="Run folders, files of trees, scores that `whorl evaluate` wrote.",
            show_default=False,
        ),
    ],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: one that is free.")] = 8765,
    bundle: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write the pages of one run into a new folder instead, as a site of files.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Look at runs in a browser: trees with siblings side by side, critiques and
    revisions, what was learned from them, attempts, and how far a run is.

    The page is for this machine only and needs no network. Files are read, and
    nothing of a run is changed, so it may be looked at while it goes on; an
    index is kept beside the trees. On a machine reached by ssh, the tunnel
    that is printed brings the page to yours.
    """
    from whorl.cli.display import Display
    from whorl.errors import UserError
    from whorl.view.bundle import bundle as write_pages
    from whorl.view.serve import serve
    from whorl.view.shelf import shelf

    shown = shelf(runs)
    if bundle is None:
        return serve(shown, port, lambda line: typer.echo(line, err=True))
    if len(shown) > 1:
        raise UserError("--bundle takes one run; write each into a folder of its own")
    count = write_pages(shown[0], bundle)
    Display().wrote(bundle / "index.html", f"{count:,} pages, to open or to serve")

"""`whorl status`."""

from pathlib import Path
from typing import Annotated

import typer

from whorl.cli import options

EXAMPLES = ("whorl status runs/a", "whorl status runs/a --watch", "whorl status after.jsonl --json")


def status(
    where: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|FILE",
            help="Run folder, scores that `whorl evaluate` writes, or model that `whorl train` "
            "makes.",
            show_default=False,
        ),
    ],
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again every second, until it ends.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Say whether a command lives, where it is, how fast, and what is left.

    Reads events.jsonl in the run folder, or beside the file, and nothing else;
    so it may be asked at any time, of a run that is under way, stopped or
    finished.
    """
    import json
    import time

    from rich.live import Live
    from rich.text import Text

    from whorl.cli.progress import as_object, status_lines
    from whorl.cli.terminal import console
    from whorl.errors import UserError
    from whorl.watch.events import events_of
    from whorl.watch.status import Reader, Status

    path = events_of(where)
    reader, found = Reader(path), Status()

    def look() -> Status:
        for event in reader.read():
            found.hear(event)
        return found

    if not look().last:
        raise UserError(_why_none(where, path))

    def lines() -> Text:
        return Text("\n".join(status_lines(str(where), look(), time.time())))

    terminal = console()
    if watch and not found.end:
        with Live(lines(), console=terminal, auto_refresh=False, transient=True) as live:
            while look().life(time.time()) in ("running", "silent"):
                live.update(lines(), refresh=True)
                time.sleep(1.0)
    terminal.print(lines())
    if as_json:
        typer.echo(json.dumps(as_object(found, time.time())))


def _why_none(where: Path, path: Path) -> str:
    """Why there are no events at `path`, which tells how `where` goes on, and where to look."""
    from whorl.data.rounds import number_of

    parts = where if where.is_dir() else where.with_name(where.name.removesuffix(".jsonl"))
    if (parts / "shards").is_dir() or parts.with_name(f"{parts.name}.shards").is_dir():
        return f"{where} is made in shards; name one, in its folder of shards"
    if not where.exists():
        return f"{where} does not exist; name a run folder, or a file of scores"
    if number_of(where):
        return f"{where} is a round; its run says how far it is: whorl status {where.parent}"
    return (
        f"{where}: there are no events at {path}: it is no run, or nothing could be written there"
    )

"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from whorl.cli.given import note_settings, typed
from whorl.recipes import RECIPES

Problems = Annotated[
    Path, typer.Option(help="File of problems, .jsonl or .jsonl.gz.", show_default=False)
]
RunFolderArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="Run folder.", show_default=False)
]


def added(
    context: typer.Context, parameter: typer.CallbackParam, value: list[str] | None
) -> list[str] | None:
    """Settings of a file of options and then those of the command line, of which a later one holds:
    who changes one setting of a file keeps the others."""
    before: list[str] | None = (context.default_map or {}).get(parameter.name or "")
    if value and typed(context, parameter.name or ""):
        note_settings(context, value)
        return [*(before or ()), *value]
    return value


Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change one setting; may be repeated.", callback=added
    ),
]
Recipe = Annotated[
    str,
    typer.Option(
        help=f"Method: {', '.join(RECIPES)}; or your own: module:Class, path/to/file.py:Class."
    ),
]
Teacher = Annotated[str, typer.Option(help="Model that is learned from (distill).")]
Seed = Annotated[int, typer.Option(help="Seed of everything that is drawn by lot.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Pass over bad lines of problems.")]
Limit = Annotated[
    int | None, typer.Option(min=1, help="Only the first so many problems.", show_default=False)
]
Width = Annotated[int, typer.Option(min=1, help="Searches in flight.")]
Processes = Annotated[
    int, typer.Option(min=0, help="Processes of its own for each model; 0: inside this one.")
]
Repair = Annotated[
    bool,
    typer.Option("--repair", help="Ask again for what a damaged journal has lost."),
]
Shard = Annotated[
    str,
    typer.Option(
        metavar="3/16",
        help="Only the third of sixteen parts, for jobs that share a folder; see `whorl merge`.",
        show_default=False,
    ),
]
Cluster = Annotated[
    str,
    typer.Option(
        metavar="auto|HOST:PORT|local:N",
        help="Search on a Ray cluster: this machine's, another one's, or N workers here.",
        show_default=False,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check and estimate; write nothing.")]
Try = Annotated[
    int,
    typer.Option(
        "--try",
        min=0,
        metavar="N",
        help="As --dry-run, and search N problems to say what all will cost.",
        show_default=False,
    ),
]
ReportTo = Annotated[
    list[str] | None,
    typer.Option(
        "--report-to",
        metavar="TRACKER",
        help="Tell a tracker the figures too: tensorboard, wandb, trackio, mlflow; may be "
        "repeated.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]
Round = Annotated[
    int,
    typer.Option(
        "--round",
        min=0,
        help="Of a run of rounds only this one; all if not given.",
        show_default=False,
    ),
]

"""`whorl harvest`."""

from pathlib import Path
from typing import Annotated

import typer

from whorl.cli import options

EXAMPLES = (
    "whorl harvest runs/a",
    "whorl harvest runs/a --set take=unrefined --out runs/a/unrefined.jsonl",
)


def harvest(
    run: options.RunFolderArgument,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write; RUN/examples.jsonl if not given.", show_default=False),
    ] = None,
    overrides: options.Overrides = None,
    recipe: Annotated[
        str, typer.Option(help="Another recipe than the one that grew the trees.")
    ] = "",
) -> None:
    """Turn grown trees into examples to train on.

    Asks no model, so trees can be harvested again in another way at any
    time. The examples have the columns prompt and completion, which other
    trainers read too. Beside RUN/examples.jsonl the counts are kept for the
    report, in harvested.json.
    """
    from whorl import settings
    from whorl.cli.display import Display
    from whorl.loop.folder import RunFolder
    from whorl.loop.harvest import harvest as harvest_file

    folder = RunFolder.read(run)
    table = {"name": recipe} if recipe else folder.settings["recipe"]
    out = out or folder.examples
    harvested = harvest_file(folder.trees, settings.read_recipe(table, overrides or ()), out)
    if out == folder.examples:
        harvested.write(folder.path)
    display = Display()
    for title, counts in (("search", harvested.tally), ("left out", harvested.dropped)):
        for what, count in sorted(counts.items()):
            display.say(f"{title}: {what}: {count:,}")
    display.wrote(out, f"{harvested.examples:,} examples of {harvested.trees:,} trees")

"""`whorl harvest`."""

from pathlib import Path
from typing import Annotated

import typer

from whorl.cli import options

EXAMPLES = (
    "whorl harvest runs/a",
    "whorl harvest runs/b --set take=unrefined --out unrefined.jsonl",
)


def harvest(
    run: options.RunFolderArgument,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write; RUN/examples.jsonl if not given.", show_default=False),
    ] = None,
    overrides: options.Overrides = None,
    recipe: Annotated[
        str,
        typer.Option(
            help="Another recipe than the one that grew the trees, or the same with its settings "
            "now."
        ),
    ] = "",
    round: options.Round = 0,
) -> None:
    """Turn grown trees into examples to train on.

    Asks no model, so trees can be harvested again in another way at any
    time. The examples have the columns prompt and completion, which other
    trainers read too. Beside RUN/examples.jsonl the counts are kept for the
    report, in harvested.json. Of a run of rounds all trees are harvested
    together, or those of --round N into that round's folder.

    The folder says which recipe grew the trees. One that is not whorl's own is
    imported, so of a folder that somebody else made name the recipe yourself.
    """
    from whorl import settings
    from whorl.cli.display import Display
    from whorl.loop.folder import RunFolder
    from whorl.loop.harvest import harvest as harvest_file
    from whorl.loop.manifest import changed_settings, recipe_of

    folder = RunFolder.read(run)
    changes = overrides or ()
    if recipe:
        chosen = settings.read_recipe({"name": recipe}, changes)
    else:
        chosen = recipe_of(folder, changes)
    parts = folder.parts(round)
    usual = (parts[0] if round else folder.path) / "examples.jsonl"
    out = out or usual
    display = Display()
    for difference in changed_settings(chosen, folder):
        display.say(f"harvested with {difference}")
    harvested = harvest_file([part / "trees.jsonl" for part in parts], chosen, out)
    if out == usual:
        harvested.write(out.parent)
    for title, counts in (("search", harvested.tally), ("left out", harvested.dropped)):
        for what, count in sorted(counts.items()):
            display.say(f"{title}: {what}: {count:,}")
    display.wrote(out, f"{harvested.examples:,} examples of {harvested.trees:,} trees")
    for remark in harvested.remarks:
        display.say(remark)

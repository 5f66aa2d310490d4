"""`whorl harvest`."""

from pathlib import Path
from typing import Annotated

import typer

from whorl.cli import options

EXAMPLES = (
    "whorl harvest runs/a",
    "whorl harvest runs/b --set take=unrefined --out unrefined.jsonl",
    "whorl harvest runs/a --thoughts short --out short.jsonl",
)


def harvest(  # noqa: PLR0913 (each parameter is an option)
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
    protocol: Annotated[
        str,
        typer.Option(
            help="Write the examples for a model that is asked by this protocol of evaluation, "
            "such as dart, instead of as the policy was."
        ),
    ] = "whorl",
    thoughts: Annotated[
        str,
        typer.Option(
            help="What examples keep of a thought: whole, short (its first and last two "
            "paragraphs), or none."
        ),
    ] = "whole",
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
    from whorl.cli.guard import whorl
    from whorl.errors import UserError
    from whorl.evaluate import PRESETS
    from whorl.loop.folder import RunFolder
    from whorl.loop.harvest import harvest as harvest_file
    from whorl.loop.manifest import changed_settings, learner, recipe_of
    from whorl.loop.thoughts import Taught

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
    if protocol not in PRESETS:
        raise UserError(f"there is no protocol {protocol!r}; there are {', '.join(PRESETS)}")
    how = settings.read_settings(Taught(), [f"thoughts={thoughts}"])
    files = [part / "trees.jsonl" for part in parts]
    harvested = harvest_file(files, chosen, out, setup=PRESETS[protocol], how=how)
    if out == usual:
        harvested.write(out.parent)
    for title, counts in (("search", harvested.tally), ("left out", harvested.dropped)):
        for what, count in sorted(counts.items()):
            display.say(f"{title}: {what}: {count:,}")
    display.wrote(out, f"{harvested.examples:,} examples of {harvested.trees:,} trees")
    for remark in harvested.remarks:
        display.say(remark)
    learned = out.parent / "checkpoint"
    display.next(whorl("train", "--model", learner(folder), "--examples", out, "--out", learned))

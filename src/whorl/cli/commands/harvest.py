"""`whorl harvest`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whorl.cli import options

if TYPE_CHECKING:
    from whorl.evaluate import Setup
    from whorl.loop.harvest import Harvested
    from whorl.loop.thoughts import Taught

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
    together, or those of --round N; they need an --out, as the examples in the
    round's folder are those that the run learns from.

    The folder says which recipe grew the trees. One that is not whorl's own is
    imported, so of a folder that somebody else made name the recipe yourself.
    A data set of Parquet, in a folder or behind a URL, says no settings: name
    --recipe and --out.
    """
    from whorl import settings
    from whorl.cli.display import Display
    from whorl.cli.guard import whorl
    from whorl.cli.source import tree_files
    from whorl.data.parquet import parquet_files
    from whorl.errors import UserError
    from whorl.loop.folder import RunFolder
    from whorl.loop.harvest import harvest as harvest_trees
    from whorl.loop.harvest import harvest_folder, usual_out
    from whorl.loop.manifest import changed_settings, learner, recipe_of

    changes, (setup, how) = overrides or (), _asked(protocol, thoughts)
    if parquet_files(run):
        if not (recipe and out):
            raise UserError(f"{run} is a data set and no run folder; name --recipe and --out")
        named = settings.read_recipe({"name": recipe}, changes)
        tables = tree_files(run, round)
        return _tell(out, harvest_trees(tables, named, out, setup=setup, how=how))
    folder = RunFolder.read(run)
    if recipe:
        chosen = settings.read_recipe({"name": recipe}, changes)
    else:
        chosen = recipe_of(folder, changes)
    out = out or usual_out(folder, round)
    display = Display()
    for difference in changed_settings(chosen, folder):
        display.say(f"harvested with {difference}")
    harvested = harvest_folder(folder, chosen, out, number=round, setup=setup, how=how)
    _tell(out, harvested)
    if harvested.examples:
        learned = out.parent / "checkpoint"
        display.next(
            whorl("train", "--model", learner(folder), "--examples", out, "--out", learned)
        )
    else:
        display.say("there is nothing to learn from: see what was left out, and why")
        display.next(whorl("show", run), whorl("view", run))


def _asked(protocol: str, thoughts: str) -> "tuple[Setup, Taught]":
    """The protocol by which the model that learns is asked, and what is kept of thoughts. Raises
    `UserError` if there is none of that name."""
    from whorl import settings
    from whorl.errors import UserError
    from whorl.evaluate import PRESETS
    from whorl.loop.thoughts import Taught

    if protocol not in PRESETS:
        raise UserError(f"there is no protocol {protocol!r}; there are {', '.join(PRESETS)}")
    return PRESETS[protocol], settings.read_settings(Taught(), [f"thoughts={thoughts}"])


def _tell(out: Path, harvested: "Harvested") -> None:
    """Tell what came of a harvest, and what was left out."""
    from whorl.cli.display import Display

    display = Display()
    for title, counts in (("search", harvested.tally), ("left out", harvested.dropped)):
        for what, count in sorted(counts.items()):
            display.say(f"{title}: {what}: {count:,}")
    display.wrote(out, f"{harvested.examples:,} examples of {harvested.trees:,} trees")
    for remark in harvested.remarks:
        display.say(remark)

"""`whorl harvest`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whorl.cli import options

if TYPE_CHECKING:
    from whorl.loop.harvest import Harvested
    from whorl.recipe import Recipe

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
    from whorl.data.parquet import parquet_files
    from whorl.errors import UserError
    from whorl.loop.folder import RunFolder
    from whorl.loop.manifest import changed_settings, learner, recipe_of

    changes, how = overrides or (), (protocol, thoughts)
    if tables := parquet_files(run):
        if not (recipe and out):
            raise UserError(f"{run} is a data set and no run folder; name --recipe and --out")
        if round:
            tables = [table for table in tables if table.parent.name == f"round={round}"]
        _harvest(tables, settings.read_recipe({"name": recipe}, changes), out, how)
        return
    folder = RunFolder.read(run)
    named = settings.read_recipe({"name": recipe}, changes) if recipe else None
    chosen = named or recipe_of(folder, changes)
    parts = folder.parts(round)
    usual = (parts[0] if round else folder.path) / "examples.jsonl"
    out = out or usual
    if out.absolute() == usual.absolute() and _in_rounds(usual.parent.absolute()):
        raise UserError(f"{usual} is what the run learns from in that round; name another --out")
    display = Display()
    for difference in changed_settings(chosen, folder):
        display.say(f"harvested with {difference}")
    harvested = _harvest([part / "trees.jsonl" for part in parts], chosen, out, how)
    if out == usual:
        harvested.write(out.parent)
    if harvested.examples:
        learned = out.parent / "checkpoint"
        display.next(
            whorl("train", "--model", learner(folder), "--examples", out, "--out", learned)
        )
    else:
        display.say("there is nothing to learn from: see what was left out, and why")
        display.next(whorl("show", run), whorl("view", run))


def _in_rounds(folder: Path) -> bool:
    """Whether a run folder is that of a round of `whorl run`."""
    return folder.name.startswith("round-") and (folder.parent / "manifest.json").exists()


def _harvest(
    files: Sequence[Path], recipe: "Recipe", out: Path, how: tuple[str, str]
) -> "Harvested":
    """Harvest files of trees, and tell what came of it. how: the protocol by which the model that
    learns is asked, and what is kept of thoughts."""
    from whorl import settings
    from whorl.cli.display import Display
    from whorl.errors import UserError
    from whorl.evaluate import PRESETS
    from whorl.loop.harvest import harvest as harvest_file
    from whorl.loop.thoughts import Taught

    display, (protocol, thoughts) = Display(), how
    if protocol not in PRESETS:
        raise UserError(f"there is no protocol {protocol!r}; there are {', '.join(PRESETS)}")
    kept = settings.read_settings(Taught(), [f"thoughts={thoughts}"])
    harvested = harvest_file(files, recipe, out, setup=PRESETS[protocol], how=kept)
    for title, counts in (("search", harvested.tally), ("left out", harvested.dropped)):
        for what, count in sorted(counts.items()):
            display.say(f"{title}: {what}: {count:,}")
    display.wrote(out, f"{harvested.examples:,} examples of {harvested.trees:,} trees")
    for remark in harvested.remarks:
        display.say(remark)
    return harvested

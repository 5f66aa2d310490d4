"""What a run is going to do (`--dry-run`), and what it did not do."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from whorl import settings
from whorl.cli.guard import SPENT, repeated
from whorl.loop.grow import Grown, ready
from whorl.loop.run import Run
from whorl.recipe import arms_of

SHOWN = 5  # failures that are listed


def describe(run: Run, said: Mapping[str, Any]) -> None:
    """Print the settings `said`, check what can be checked, and say what the run would do."""
    for name, value in settings.flat(said):
        typer.echo(f"{name} = {value}")
    with ready(run) as prepared:
        found = prepared.found
    bad = f", {found.bad:,} bad lines passed over" if found.bad else ""
    held = f", {found.held:,} more held out" if found.held else ""
    typer.echo(f"problems: {found.problems:,}{held}{bad}")
    searches = found.problems * len(arms_of(run.recipe))
    most = searches * run.recipe.samples_at_most
    typer.echo(f"searches: {searches:,} in each round, {most:,} samples at most")
    typer.echo("the engines open; nothing was written")


def tell_failures(path: Path, failures: Mapping[str, str], again: str) -> None:
    """List searches that failed, and say how to try them `again`."""
    if not failures:
        return
    for key, error in list(failures.items())[:SHOWN]:
        typer.echo(f"failed: {key}: {error}", err=True)
    more = len(failures) - SHOWN
    rest = f"; {more:,} more are listed in {path}" if more > 0 else ""
    typer.echo(f"{len(failures):,} searches failed{rest}. {again}", err=True)


def tell_missing(grown: Grown) -> None:
    """Say what a budget did not last for, and leave with the code for it."""
    if not grown.missing:
        return
    total = grown.trees + len(grown.failures) + grown.missing
    name = grown.limit.partition(" ")[0]
    more = "this" if name == "seconds" else f"this with a larger budget.{name}"
    typer.echo(
        f"budget.{grown.limit} is spent: {grown.trees:,} of {total:,} trees are grown, "
        f"{grown.begun:,} more are begun, nothing is lost. To go on, repeat {more}: {repeated()}",
        err=True,
    )
    raise typer.Exit(SPENT)

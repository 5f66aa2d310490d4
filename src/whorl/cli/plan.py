"""What a run is going to do (`--dry-run`), and what it did not do."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from whorl import settings
from whorl.cli.guard import SPENT, repeated
from whorl.engines.model import pending
from whorl.engines.spec import HERE, Spec
from whorl.loop.grow import Grown, ready
from whorl.loop.run import Run
from whorl.loop.split import survey
from whorl.recipe import arms_of

SHOWN = 5  # failures that are listed


def describe(run: Run, said: Mapping[str, Any]) -> None:
    """Print the settings `said`, check what can be checked, and say what the run would do."""
    for name, value in settings.flat(said):
        typer.echo(f"{name} = {value}")
    lacking = downloads(run)
    if lacking:
        found = survey(run)
    else:
        with ready(run) as prepared:
            found = prepared.found
    bad = f", {found.bad:,} bad lines passed over" if found.bad else ""
    held = f", {found.held:,} more held out" if found.held else ""
    typer.echo(f"problems: {found.problems:,}{held}{bad}")
    searches = found.problems * len(arms_of(run.recipe))
    most = searches * run.recipe.samples_at_most
    typer.echo(f"searches: {searches:,} in each round, {most:,} samples at most")
    for line in lacking:
        typer.echo(line)
    opened = "no engine was opened" if lacking else "the engines open"
    typer.echo(f"{opened}; nothing was written")


def downloads(run: Run) -> list[str]:
    """What a run would download before it begins, in words."""
    names = [*run.engines.named().values(), *([str(run.base)] if run.base else [])]
    here = [name for name in dict.fromkeys(names) if Spec.read(name).scheme in HERE]
    return [line for name in here if (line := pending(name))]


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

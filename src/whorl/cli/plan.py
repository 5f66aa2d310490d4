"""What a run is going to do, and what it must not be mixed with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from whorl import settings
from whorl.budget import Limits
from whorl.cli.guard import SPENT, repeated
from whorl.data.content import content
from whorl.engines.model import find_model, model_content, pending
from whorl.engines.spec import HERE, Spec
from whorl.loop.grow import Grown, check
from whorl.loop.run import Run
from whorl.loop.split import survey

SHOWN = 5  # failures that are listed


def grown_from(run: Run) -> dict[str, Any]:
    """What a run's trees depend on. Not: where they lie, how fast they grow, how many there are."""
    grown = {
        "recipe": settings.say(run.recipe),
        "problems": content(run.problems),
        "seed": run.seed,
        "engines": {role: model_content(spec) for role, spec in run.engines.named().items()},
    }
    if run.budget.problem == Limits():
        return grown
    budget: dict[str, Any] = {"problem": dict(run.budget.problem.named())}
    if run.budget.problem.money is not None:
        budget["prices"] = settings.say(run.budget.prices)
    return grown | {"budget": budget}


def learned_from(run: Run) -> dict[str, Any]:
    """What the results of a whole run depend on. Not: when it stops, but what is held out."""
    learned = grown_from(run) | {
        "start": run.starts,
        "test": content(run.test) if run.test else None,
        **({"base": find_model(str(run.base)).identity()} if run.base else {}),
        "train": settings.say(run.train),
        "evaluate": settings.say(run.evaluate),
    }
    return learned | ({"holdout": run.holdout} if run.patience else {})


def describe(run: Run, said: Mapping[str, Any]) -> None:
    """Print the settings `said`, check what can be checked, and say what the run would do."""
    for name, value in settings.flat(said):
        typer.echo(f"{name} = {value}")
    lacking = downloads(run)
    found = survey(run) if lacking else check(run)
    bad = f", {found.bad:,} bad lines passed over" if found.bad else ""
    held = f", {found.held:,} more held out" if found.held else ""
    typer.echo(f"problems: {found.problems:,}{held}{bad}")
    searches = found.problems * len(run.recipe.arms())
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

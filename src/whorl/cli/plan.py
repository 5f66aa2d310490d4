"""Describe a run (`--dry-run`), and list what a run left undone: failures, and searches beyond a
budget."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import fields
from pathlib import Path
from textwrap import wrap
from typing import Any, NoReturn

import typer

from whorl import settings
from whorl.cli.display import Display
from whorl.cli.estimate import at_most, by_trial, evaluation_at_most, findable_gain
from whorl.cli.guard import FAILED, SPENT, this_command
from whorl.data.problems import read_problems
from whorl.engines.model import pending
from whorl.engines.roles import Engines, Opener, rounded_by
from whorl.loop.estimate import try_problems
from whorl.loop.folder import RunFolder
from whorl.loop.grow import Grown, ready
from whorl.loop.manifest import grown_from
from whorl.loop.rounds import watching
from whorl.loop.run import Run
from whorl.loop.split import survey
from whorl.settings.presets import default_of, presets_of
from whorl.watch import Progress, Quiet

SHOWN = 5  # failures that are listed
WIDTH = 100  # characters in a line of settings
ALWAYS = ("run", "problems", "name", "recipe.name")
"""Settings that are shown among those that were set: they have no defaults."""


Said = Callable[[Run], Mapping[str, Any]]
"""Some of the settings of a run."""


def describe_run(
    run: Run, part: Said, where: Opener, *, bound: Said = grown_from, tries: int = 0
) -> None:
    """Print the settings of a run, check what can be checked, and say what the run would do and
    cost.

    part: the settings that the command takes, of a run, by the names that `--set` knows.
    where: opens its engines, as the command would.
    bound: the settings that its folder is bound to; those of its trees if not given.
    tries: problems that are really searched, to estimate the cost by them.
    """
    for line in setting_lines(part(run), part(usual_run(run))):
        typer.echo(line)
    lacking = downloads(run)
    found, tried = survey(run), None
    if not lacking:
        RunFolder.check(run.folder, bound(run))
        with ready(run, where) as prepared:
            if tries:
                tried = try_problems(run, prepared.crew, tries, Trial())
    bad = f", {found.bad:,} bad lines passed over" if found.bad else ""
    held = f", {found.held:,} more held out" if found.held else ""
    typer.echo(f"problems: {found.problems:,}{held}{bad}")
    for line in (*at_most(run, found), *(by_trial(run, found, tried) if tried else ())):
        typer.echo(line)
    if run.test and "test" in part(run):
        tests = sum(1 for _ in read_problems(run.test))
        again = f", {run.rounds + 1} times"
        typer.echo(evaluation_at_most(run.evaluate, tests) + again)
        if run.evaluate.n == 1:
            typer.echo(findable_gain(tests))
    if found.held:
        own = watching(run).decoding
        typer.echo(evaluation_at_most(own, found.held, of="held out") + f", {run.rounds + 1} times")
    for line in lacking:
        typer.echo(line)
    tell_failures(Path("failures"), tried.failures if tried else {}, "They were tried only.")
    opened = "no engine was opened" if lacking else "the engines open"
    if not tries:
        typer.echo("what it will really take: --try 3 searches three problems to see")
    typer.echo(f"{opened}; nothing was written")


class Trial(Quiet):
    """Display of problems that are only tried: how far they are, and nothing of their files, which
    are gone at the end."""

    def stage(self, title: str, progress: Progress) -> AbstractContextManager[None]:
        return Display().stage("trying", progress)


def setting_lines(said: Mapping[str, Any], defaults: Mapping[str, Any]) -> Iterator[str]:
    """Settings that differ from their defaults, a line each as in a run file; then the others, a
    paragraph for each table."""
    usual = dict(settings.flat_items(defaults))
    others: dict[str, list[str]] = {}
    for name, value in settings.flat_items(said):
        if value == usual.get(name) and name not in ALWAYS:
            table, _, key = name.rpartition(".")
            others.setdefault(table, []).append(f"{key}={value}")
        else:
            default = usual.get(name, value)
            differs = default not in (value, '""')
            yield f"{name} = {value}" + (f"  # default {default}" if differs else "")
    for name in settings.unset_keys(said):
        table, _, key = name.rpartition(".")
        others.setdefault(table, []).append(f"{key}=(none)")
    alike: dict[str, list[str]] = {}
    for table, values in others.items():
        alike.setdefault(", ".join(values), []).append(table)
    yield "at their defaults:"
    for told, tables in alike.items():
        text = f"{', '.join(tables)}: {told}" if any(tables) else told
        yield from wrap(
            text, WIDTH, initial_indent="  ", subsequent_indent="    ", break_long_words=False
        )


def usual_run(run: Run, which: str = "") -> Run:
    """A run of the same files by a preset of its recipe, the default one if none is named, with all
    other settings at their defaults."""
    preset = presets_of(type(run.recipe))[which] if which else default_of(run.recipe)
    said = {field.name: getattr(preset, field.name) for field in fields(preset)}
    return Run(run.folder, run.problems, Engines(), **said)


def opening(run: Run) -> str:
    """A line that says what is being opened, for the seconds that it takes."""
    roles: dict[str, list[str]] = {}
    for role, name in run.engines.named().items():
        roles.setdefault(name, []).append(role)
    said = "opening " + ", ".join(f"{name} ({', '.join(who)})" for name, who in roles.items())
    if bits := rounded_by(run.engines.policy):
        said += f"; the policy answers with weights in {bits}, and is trained from all their bits"
    return said


def downloads(run: Run) -> list[str]:
    """Lines that say what a run would download before it begins."""
    base = str(run.base) if run.base else ""
    names = filter(None, (*run.engines.named().values(), run.engines.student, base))
    return list(filter(None, map(pending, dict.fromkeys(names))))


def tell_failures(
    path: Path, failures: Mapping[str, str], again: str, *, what: str = "searches"
) -> None:
    """List `what` failed, with the reason of each, and say how to try it `again`."""
    if not failures:
        return
    for key, error in list(failures.items())[:SHOWN]:
        typer.echo(" ".join(f"failed: {key}: {error}".split()), err=True)
    more = len(failures) - SHOWN
    rest = f"; {more:,} more are listed in {path}" if more > 0 else ""
    typer.echo(f"{len(failures):,} {what} failed{rest}. {again}", err=True)


def tell_unfinished(folder: Path, grown: Grown) -> NoReturn:
    """Say why a round in `folder` did not go on to learn from its trees, and leave with the code
    for it."""
    tell_failures(folder / "failures.jsonl", grown.failures, "They will be tried again.")
    tell_missing(grown)
    total = grown.trees + len(grown.failures)
    typer.echo(
        f"{folder.name} stops before training: {len(grown.failures):,} of {total:,} searches are "
        f"more than may_fail allows. See to what made them fail, then repeat: {this_command()}; "
        "or learn from the others all the same, with --set may_fail=1",
        err=True,
    )
    raise typer.Exit(FAILED)


def tell_missing(grown: Grown) -> None:
    """Say what a budget did not last for, and leave with the code for it."""
    if not grown.missing:
        return
    total = grown.trees + len(grown.failures) + grown.missing
    name = grown.limit.partition(" ")[0]
    more = "this" if name == "seconds" else f"this with a larger budget.{name}"
    typer.echo(
        f"budget.{grown.limit} lasts for {grown.trees:,} of {total:,} trees; {grown.begun:,} more "
        f"are begun, nothing is lost. To go on, repeat {more}: "
        f"{this_command()}",
        err=True,
    )
    raise typer.Exit(SPENT)

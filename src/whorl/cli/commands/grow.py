"""`whorl grow`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whorl.cli import options

if TYPE_CHECKING:
    from whorl.loop.run import Run

EXAMPLES = (
    "whorl grow --recipe rft --problems problems.jsonl --policy policy --run runs/a",
    "whorl grow --problems problems.jsonl --policy policy --critic teacher --reviser "
    "teacher --limit 5 --set uct.simulations=4 --run runs/b",
    "whorl grow --recipe rft --problems problems.jsonl --policy policy --set samples=16 "
    "--set sampling.temperature=1.0 --run runs/c --dry-run",
)


def grow(  # noqa: PLR0913 (each parameter is an option)
    problems: options.Problems,
    run: Annotated[Path, typer.Option(help="Run folder to write.", show_default=False)],
    recipe: options.Recipe = "sigma",
    policy: Annotated[
        str,
        typer.Option(help="Model that solves, as local:FOLDER or server:URL; see `whorl probe`."),
    ] = "",
    critic: Annotated[
        str, typer.Option(help="Model that criticises steps; the policy if not given.")
    ] = "",
    reviser: Annotated[
        str, typer.Option(help="Model that rewrites steps; the policy if not given.")
    ] = "",
    teacher: options.Teacher = "",
    small: Annotated[str, typer.Option(help="Model that makes mistakes (SPHERE).")] = "",
    prm: Annotated[str, typer.Option(help="Process reward model (SPHERE).")] = "",
    overrides: options.Overrides = None,
    seed: options.Seed = 0,
    limit: options.Limit = None,
    skip_bad: options.SkipBad = False,
    width: options.Width = 256,
    processes: options.Processes = 1,
    repair: options.Repair = False,
    report_to: options.ReportTo = None,
    dry_run: options.DryRun = False,
    tries: options.Try = 0,
) -> None:
    """Grow a search tree for every problem.

    Writes trees.jsonl into the run folder. Every reply of a model is on disk
    before it is used: after a crash or Ctrl-C the same command goes on where
    it stopped, and a larger --limit adds trees to those that are there.

    --set changes settings of the recipe, e.g. --set uct.simulations=8; with
    --set preset=code SIGMA starts from its authors' script instead of the
    paper. --set budget.tokens=100000 stops after so many sampled tokens; there
    are requests, seconds and money as well, for all of it and, as in
    budget.problem.tokens, for each search. --dry-run lists every setting.
    """
    from whorl import __version__, settings
    from whorl.cli.display import Display
    from whorl.cli.guard import FAILED, this_command, whorl
    from whorl.cli.plan import describe_run, opening, tell_failures, tell_missing
    from whorl.engines.repair import mended
    from whorl.engines.roles import Engines
    from whorl.loop.folder import RunFolder
    from whorl.loop.grow import GrowPlan, ready
    from whorl.loop.grow import grow as grow_trees
    from whorl.loop.manifest import grown_from
    from whorl.loop.run import Run
    from whorl.loop.runfile import answered
    from whorl.loop.split import problems_of, tell_bad
    from whorl.watch.events import recorded

    of_recipe = [change for change in overrides or () if not change.startswith("budget.")]
    given = Run(
        folder=run,
        problems=problems,
        engines=Engines(policy, critic, reviser, small, prm, processes=processes, teacher=teacher),
        recipe=settings.read_recipe({"name": recipe}, of_recipe),
        seed=seed,
        width=width,
        limit=limit,
        skip_bad=skip_bad,
        report_to=tuple(report_to or ()),
        budget=settings.read_budget(overrides or ()),
    )
    chosen = answered(given)
    if dry_run or tries:
        return describe_run(chosen, _settings, tries)
    display = Display()
    display.say(opening(chosen))
    RunFolder.check(run, said := grown_from(chosen))
    with (
        ready(chosen) as prepared,  # before a folder is bound to what cannot work
        RunFolder.open(run, said, version=__version__) as folder,
    ):
        display.say_all(mended(folder.path.rglob("*journal.db")) if repair else ())
        tell_bad(prepared.found, chosen, display)
        plan, expected = GrowPlan.of(chosen), prepared.found.problems
        found, by_role = problems_of(chosen), prepared.engines
        with recorded(display, folder.events, folder.settings["engines"], chosen.trackers) as watch:
            grown = grow_trees(folder, found, plan, by_role, watch=watch, expected=expected)
    display.say(f"solved {grown.solved:,} of {expected:,} problems")
    tell_failures(folder.failures, grown.failures, f"To try them again, repeat: {this_command()}")
    tell_missing(grown)
    if grown.failures:
        raise typer.Exit(FAILED)
    display.next(whorl("harvest", run), whorl("show", run), whorl("view", run))


def _settings(run: "Run") -> dict[str, Any]:
    """The settings that `whorl grow --set` takes: those of the recipe, and the budget."""
    from whorl import settings

    return {**settings.as_table(run.recipe), "budget": settings.as_table(run.budget)}

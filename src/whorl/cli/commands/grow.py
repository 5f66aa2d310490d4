"""`whorl grow`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whorl.cli import options

if TYPE_CHECKING:
    from whorl.engines.roles import Opener
    from whorl.loop.run import Run

EXAMPLES = (
    "whorl grow --recipe rft --problems problems.jsonl --policy policy --run runs/a",
    "whorl grow --problems problems.jsonl --policy policy --critic teacher --reviser "
    "teacher --limit 5 --set uct.simulations=4 --run runs/b",
    "whorl grow --recipe rft --problems problems.jsonl --policy policy --set samples=16 "
    "--set sampling.temperature=1.0 --run runs/c --dry-run",
    "whorl grow --recipe rft --problems problems.jsonl --policy policy --run runs/d --shard 1/2",
    "whorl grow --recipe rft --problems problems.jsonl --policy policy --run runs/d --shard 2/2",
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
    cluster: options.Cluster = "",
    shard: options.Shard = "",
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
    budget.problem.tokens, for each search. --dry-run lists the settings; --try
    searches without the budget for all of it, and says where that would end.

    --shard 3/16 grows the third of sixteen equal parts, in a folder of its own in
    the run folder, which other machines share: give the sixteen commands, then
    `whorl merge`. What is left may be divided anew, into any other number. The
    trees are those of one machine.

    --cluster auto does the same on the Ray cluster that this machine belongs to:
    workers take problems, open engines of their own, and come and go while the
    run goes on; --width is theirs. --cluster 'auto?cpus=2&gpus=1' says what a
    worker takes. docs/cluster.md has the rest.
    """
    from whorl import settings
    from whorl.cli.machines import opener
    from whorl.cli.plan import describe_run
    from whorl.engines.roles import Engines
    from whorl.loop.run import Run
    from whorl.loop.runfile import answered

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
    where = opener(cluster, run.parent, shard=shard)
    if dry_run or tries:
        return describe_run(chosen, _settings, where, tries=tries)
    _grow(chosen, where, shard, repair=repair)


def _grow(chosen: "Run", where: "Opener", shard: str, *, repair: bool) -> None:
    """Grow the trees of a run, or of a shard of it, and tell how it goes. where: opens engines."""
    from dataclasses import replace
    from functools import partial

    from whorl import __version__
    from whorl.cli.display import Display
    from whorl.cli.guard import FAILED, this_command, whorl
    from whorl.cli.plan import opening, tell_failures, tell_missing
    from whorl.loop.folder import RunFolder
    from whorl.loop.grow import GrowPlan, ready
    from whorl.loop.grow import grow as grow_trees
    from whorl.loop.manifest import grown_from
    from whorl.loop.shards import open_part, shard_of
    from whorl.loop.split import problems_of, tell_bad
    from whorl.watch.events import recorded

    display = Display()
    display.say(opening(chosen))
    said, share = grown_from(chosen), shard_of(chosen, shard)
    RunFolder.check(chosen.folder, said)
    read, tell = partial(problems_of, chosen), display.say if repair else None
    with (
        ready(chosen, where) as prepared,  # before a folder is bound to what cannot work
        open_part(chosen.folder, said, share, read, version=__version__, repair=tell) as part,
    ):
        folder = part.folder
        tell_bad(prepared.found, chosen, display)
        plan = replace(GrowPlan.of(chosen), others=part.others)
        expected = prepared.found.problems if part.problems is None else part.problems
        found, crew = part.of(read()), prepared.crew
        with recorded(display, folder.events, folder.settings["engines"], chosen.trackers) as watch:
            grown = grow_trees(folder, found, plan, crew, watch=watch, expected=expected)
    display.say(f"found a right solution to {grown.solved:,} of {expected:,} problems")
    tell_failures(folder.failures, grown.failures, f"To try them again, repeat: {this_command()}")
    tell_missing(grown)
    if grown.failures:
        raise typer.Exit(FAILED)
    own = chosen.folder
    if share:
        display.say(f"shard {share} has come to its end; after all of them: whorl merge {own}")
    else:
        display.next(whorl("harvest", own), whorl("show", own), whorl("view", own))


def _settings(run: "Run") -> dict[str, Any]:
    """The settings that `whorl grow --set` takes: those of the recipe, and the budget."""
    from whorl import settings

    return {**settings.as_table(run.recipe), "budget": settings.as_table(run.budget)}

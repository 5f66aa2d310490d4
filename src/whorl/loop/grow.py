"""Growing the trees of a run: what that needs is made sure of before anything is written."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from whorl import __version__
from whorl.ask import Engine, Moves
from whorl.budget import SPENT, Budget, Purse
from whorl.data.atomic import replacing
from whorl.data.forest import Forest, Key
from whorl.drive import drive
from whorl.engines.journal import Journal
from whorl.engines.meter import Meter
from whorl.engines.roles import Opened
from whorl.loop.folder import RunFolder
from whorl.loop.run import Run
from whorl.loop.split import Survey, problems_of, survey
from whorl.problem import Problem
from whorl.recipe import Recipe, arms_of
from whorl.recipes import name_of
from whorl.tree import Tree
from whorl.watch import Progress, Watch


@dataclass(frozen=True, slots=True)
class Plan:
    """How to grow: the recipe and its name, the run's seed, how many searches are in flight, and
    the purse that pays for them."""

    recipe: Recipe
    name: str
    seed: int = 0
    width: int = 256
    purse: Purse = field(default_factory=lambda: Purse(Budget()))


@dataclass(frozen=True, slots=True)
class Grown:
    """What `grow` did: trees in the file, failed searches (key -> error), tokens generated now.

    missing: searches that the run's budget did not last for; begun: those that have replies; limit:
    the limit that was reached, as a setting.
    """

    trees: int
    failures: Mapping[str, str]
    tokens: int
    recalled: int
    missing: int = 0
    begun: int = 0
    limit: str = ""


@dataclass(frozen=True, slots=True)
class Ready:
    """What a run needs: what its file of problems holds, and its engines, which are open."""

    found: Survey
    opened: Opened


@contextmanager
def ready(run: Run) -> Iterator[Ready]:
    """Raises `UserError` if the problems cannot be read or the engines not be opened."""
    found = survey(run)
    with Opened(run.engines) as opened:
        opened.by_role()
        yield Ready(found, opened)


def check(run: Run) -> Survey:
    """What `ready` finds, and nothing is kept open."""
    with ready(run) as prepared:
        return prepared.found


def grow_run(
    folder: RunFolder,
    run: Run,
    prepared: Ready,
    watch: Watch,
    *,
    last: Path | None = None,
    purse: Purse | None = None,
) -> Grown:
    """Grow the trees of `run.problems` into `folder`.

    last: the trees of the round before.
    purse: what earlier rounds have left of the budget; None if there were none.
    """
    found = prepared.found
    if found.bad:
        watch.say(f"passed over {found.bad:,} bad lines of {run.problems} ({found.first_bad})")
    progress = Progress(total=found.problems * len(arms_of(run.recipe)))
    plan = Plan(run.recipe, name_of(run.recipe), run.seed, run.width, purse or Purse(run.budget))
    with watch.stage("grow", progress):
        grown = grow(
            folder,
            lambda: problems_of(run),
            plan,
            prepared.opened.by_role(),
            last=last,
            progress=progress,
        )
    watch.wrote(folder.trees, f"{grown.trees:,} trees")
    return grown


def grow(
    folder: RunFolder,
    problems: Callable[[], Iterable[Problem]],
    plan: Plan,
    engines: Mapping[str, Engine],
    *,
    last: Path | None = None,
    progress: Progress | None = None,
) -> Grown:
    """Search every problem with every arm of the recipe; trees end in `folder.trees`.

    problems: called twice, once to search and once for the order of the finished file.
    last: the trees of the round before.

    Replies are journaled before they are used and trees are written as they end, so the same call
    goes on after any interruption. A search that fails is listed in `folder.failures` and left out.
    What the journal holds counts as spent. The end of the run's budget is such an interruption, and
    what is in flight is awaited.
    """
    progress = progress or Progress()
    arms, purse = arms_of(plan.recipe), plan.purse
    failures: dict[str, str] = {}
    suspended: list[bool] = []  # by the end of the budget: whether the search has replies
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(folder.journal))
        forest = stack.enter_context(Forest(folder.trees))
        before = stack.enter_context(Forest(last)) if last else None
        metered = {id(engine): Meter(engine) for engine in engines.values()}
        progress.meters, progress.purse = list(metered.values()), purse
        purse.count(journal.usage())
        recorded = {key: journal.wrap(purse.wrap(meter)) for key, meter in metered.items()}
        by_role = {role: recorded[id(engine)] for role, engine in engines.items()}

        def searches() -> Iterator[tuple[str, Moves[Tree]]]:
            for problem in problems():
                for arm, armed in arms.items():
                    if (problem.id, arm) in forest:
                        progress.found += 1
                        continue
                    labels = {"recipe": plan.name, "arm": arm, "seed": str(plan.seed)}
                    past = before.get((problem.id, arm)) if before else None
                    moves = _labelled(armed.grow(problem, past), labels)
                    yield f"{problem.id}#{arm}", purse.limit(moves)

        def wanted() -> Iterator[Key]:
            return ((problem.id, arm) for problem in problems() for arm in arms)

        for finished in drive(searches(), by_role, width=plan.width, seed=plan.seed):
            if finished.error == SPENT.error:
                suspended.append(bool(finished.cost))
            elif finished.result is None:
                failures[finished.key] = finished.error or "no tree"
                progress.failed += 1
            else:
                finished.result.cost = dict(sorted(finished.cost.items()))
                forest.append(finished.result)
                progress.done += 1
                progress.short += bool(finished.result.cut_short)
            progress.recalled = journal.recalled
        forest.finish(wanted())
        trees = len(forest)
        lacking = sum(key not in forest for key in wanted()) if suspended else len(failures)
    with replacing(folder.failures) as file:
        for key, error in sorted(failures.items()):
            file.write((json.dumps({"search": key, "error": error}) + "\n").encode())
    return Grown(
        trees,
        failures,
        progress.tokens,
        progress.recalled,
        missing=lacking - len(failures),
        begun=sum(suspended),
        limit=purse.ended if suspended else "",
    )


def _labelled(moves: Moves[Tree], labels: Mapping[str, str]) -> Moves[Tree]:
    tree = yield from moves
    tree.provenance = {**labels, "whorl": __version__, **tree.provenance}
    return tree

"""Growing the trees of a run: settings and engines are checked before anything is written."""

import json
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from whorl import __version__
from whorl.ask import Asking
from whorl.budget import SPENT, Budget, limited
from whorl.budget.purse import Purse
from whorl.data.atomic import replacing
from whorl.data.forest import Forest, Key
from whorl.data.problems import distinct
from whorl.drive import Finished
from whorl.engines.crew import Begun, Crew
from whorl.engines.journal import Journal
from whorl.engines.roles import Crews, Opened, Opener
from whorl.errors import UserError
from whorl.loop.folder import RunFolder
from whorl.loop.run import Run
from whorl.loop.split import Survey, survey
from whorl.loop.trial import check_abilities, check_teacher
from whorl.problem import Problem
from whorl.recipe import Recipe, arms_of
from whorl.recipes import name_of
from whorl.tree import Tree
from whorl.watch import Progress, Watch


@dataclass(frozen=True, slots=True)
class Others:
    """Work of other processes on the same run: the keys of trees that need not be grown, and
    journals whose replies serve."""

    trees: Set[Key] = frozenset()
    journals: Sequence[Journal] = ()


@dataclass(frozen=True, slots=True)
class GrowPlan:
    """Plan of growing: the recipe and its name, the seed, the number of searches in flight, the
    purse that pays for them, the trees of the round before, if there are any, and what others have
    done of the same run."""

    recipe: Recipe
    name: str
    seed: int = 0
    width: int = 256
    purse: Purse = field(default_factory=lambda: Purse(Budget()))
    last: Path | None = None
    others: Others = Others()

    @classmethod
    def of(cls, run: Run) -> "GrowPlan":
        """The plan of the first round of `run`."""
        purse = Purse(run.budget, samples_at_most=run.recipe.samples_at_most)
        return cls(run.recipe, name_of(run.recipe), run.seed, run.width, purse)


@dataclass(frozen=True, slots=True)
class Grown:
    """Result of `grow`: trees in the file, failed searches (key -> error), tokens generated now.

    lost: sampled tokens of each failed search, by key.
    recalled: asks answered from the journal.
    missing: searches that the run's budget did not last for; begun: those of them that have
        replies; limit: the limit that was reached, as a setting.
    problems: that trees were to be grown for; 0: an earlier whorl did not count them.
    solved: those to which a tree, of this call or of an earlier one, holds a right solution.
    """

    trees: int
    failures: Mapping[str, str]
    tokens: int
    recalled: int
    missing: int = 0
    begun: int = 0
    limit: str = ""
    problems: int = 0
    solved: int = 0
    lost: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        failed = f", {len(self.failures):,} failed" if self.failures else ""
        missing = f", {self.missing:,} left by {self.limit}" if self.missing else ""
        return (
            f"{self.trees:,} trees, a right solution to {self.solved:,} problems, "
            f"{self.tokens:,} tokens{failed}{missing}"
        )


@dataclass(frozen=True, slots=True)
class Ready:
    """A run that can start: counts of its file of problems, and its engines, open.

    crew: who runs its searches, until a model is trained or the policy is another one.
    """

    found: Survey
    opened: Crews
    crew: Crew


@contextmanager
def ready(run: Run, place: Opener = Opened) -> Iterator[Ready]:
    """Read the problems of a run and open its engines; the engines are closed at the end of the
    `with`.

    place: where they are opened; in this process if not given.
    Raises `UserError` if the problems cannot be read or are among those to measure on, or if the
    engines cannot be opened or cannot do what the recipe needs of them, or if the teacher is to
    read tokens that are not its own.
    """
    found = survey(run)
    check_teacher(run.recipe, run.engines.policy, run.engines.teacher)
    with place(run.engines) as opened:
        crew = opened.crew()
        check_abilities(run.recipe, crew.engines)
        yield Ready(found, opened, crew)


def grow(
    folder: RunFolder,
    problems: Iterable[Problem],
    plan: GrowPlan,
    crew: Crew,
    *,
    watch: Watch | None = None,
    expected: int = 0,
) -> Grown:
    """Search every problem with every arm of the recipe; trees end in `folder.trees`, in the order
    of the problems.

    problems: read once, as searches start.
    expected: how many they are, for `watch`.

    Replies are journaled before they are used and trees are written as they end, so the same call
    goes on after any interruption. A search that fails is listed in `folder.failures` and left out.
    What the journal holds counts as spent. Raises `UserError` if steps are to end by entropy and
    the policy tells no log-probabilities. The end of the run's budget is such an interruption, and
    what is in flight is awaited.
    """
    check_abilities(plan.recipe, crew.engines)
    arms = arms_of(plan.recipe)
    progress = Progress(total=expected * len(arms), purse=plan.purse)
    missed = _Missed(progress.errors)
    ids: list[str] = []
    with ExitStack() as stack:
        if watch:
            stack.enter_context(watch.stage("grow", progress))
        journal = stack.enter_context(Journal(folder.journal, earlier=plan.others.journals))
        forest = stack.enter_context(Forest(folder.trees))
        before = stack.enter_context(Forest(plan.last)) if plan.last else None
        plan.purse.count(folder.journal, journal.usage(), len(forest))
        rest = _noted(problems, ids)
        searches = _searches(rest, plan, forest, before, progress)
        ended = crew.drive(searches, journal, seed=plan.seed, width=plan.width, purse=plan.purse)
        progress.meters = crew.meters
        for finished in ended:
            _record(finished, forest, progress, missed)
            if finished.error != SPENT.error:
                plan.purse.finish()
            progress.recalled = journal.recalled
        deque(rest, maxlen=0)  # at the end of a budget some problems are not read yet
        forest.finish((name, arm) for name in ids for arm in arms)
        trees = len(forest)
        solved = len(forest.solved.intersection(ids))
        there = (forest, plan.others.trees)
        lacking = sum(
            all((name, arm) not in each for each in there) for name in ids for arm in arms
        )
    missed.write(folder.failures)
    if watch:
        watch.wrote(folder.trees, f"{trees:,} trees")
        for line in plan.purse.lines():
            watch.say(line)
    grown = Grown(
        trees,
        missed.failures,
        progress.tokens,
        progress.recalled,
        problems=len(ids),
        solved=solved,
        lost=missed.lost,
    )
    if not missed.suspended:
        return grown
    missing = lacking - len(missed.failures)
    return replace(grown, missing=missing, begun=missed.begun, limit=plan.purse.ended)


def _noted(problems: Iterable[Problem], ids: list[str]) -> Iterator[Problem]:
    """The problems, unchanged; the id of each that passes is added to `ids`. Raises `UserError` as
    `distinct` does."""
    for problem in distinct(problems):
        ids.append(problem.id)
        yield problem


def _searches(
    problems: Iterable[Problem],
    plan: GrowPlan,
    forest: Forest,
    before: Forest | None,
    progress: Progress,
) -> Iterator[Begun[Tree]]:
    """The searches whose trees are not there, by key. before: the trees of the round before."""
    arms = arms_of(plan.recipe)
    for problem in problems:
        for arm, armed in arms.items():
            key = (problem.id, arm)
            if key in forest or key in plan.others.trees:
                progress.found += 1
                continue
            labels = {"recipe": plan.name, "arm": arm, "seed": str(plan.seed)}
            past = before.get(key) if before else None
            begin = partial(_limited, plan.purse.budget, armed, problem, past, labels)
            yield f"{problem.id}#{arm}", begin


def _limited(
    budget: Budget,
    recipe: Recipe,
    problem: Problem,
    last: Tree | None,
    labels: Mapping[str, str],
) -> Asking[Tree]:
    """Search of a problem by a recipe, within a problem's budget."""
    return limited(_labelled(recipe, problem, last, labels), budget)


def _labelled(
    recipe: Recipe, problem: Problem, last: Tree | None, labels: Mapping[str, str]
) -> Asking[Tree]:
    """Search of a problem by a recipe; the tree says who grew it."""
    search = recipe.grow(problem, last)
    tree = (yield from search) if isinstance(search, Generator) else None
    if not isinstance(tree, Tree):
        raise UserError(f"grow of {name_of(recipe)} should be a generator that returns a Tree")
    tree.provenance = {**labels, "whorl": __version__, **tree.provenance}
    return tree


@dataclass(slots=True)
class _Missed:
    """Searches without a tree: errors and sampled tokens by key, the number suspended at the end of
    the budget, and how many of those are begun."""

    failures: dict[str, str]
    lost: dict[str, int] = field(default_factory=dict)
    suspended: int = 0
    begun: int = 0

    def write(self, path: Path) -> None:
        """Write the failures, sorted by key, a line each."""
        with replacing(path) as file:
            for key, error in sorted(self.failures.items()):
                file.write((json.dumps({"search": key, "error": error}) + "\n").encode())


def _record(finished: Finished[Tree], forest: Forest, progress: Progress, missed: _Missed) -> None:
    """Keep the tree of a search that ended, or why there is none."""
    if finished.error == SPENT.error:
        missed.suspended += 1
        missed.begun += bool(finished.cost)
    elif finished.result is None:
        progress.errors[finished.key] = finished.error or "no tree"
        missed.lost[finished.key] = sum(finished.cost.values())
    else:
        finished.result.cost = dict(sorted(finished.cost.items()))
        forest.append(finished.result)
        progress.done += 1
        progress.short += bool(finished.result.cut_short)

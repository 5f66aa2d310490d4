"""Growing trees within a budget of tokens: pass after pass over the problems, until a tree is too
much."""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate, islice
from pathlib import Path

from whorl import __version__, settings
from whorl.compare.spoken import WithinBudget
from whorl.data.atomic import replacing
from whorl.data.forest import read_trees
from whorl.engines.crew import Crew
from whorl.engines.roles import Crews
from whorl.errors import UserError
from whorl.loop.folder import RunFolder
from whorl.loop.grow import GrowPlan, grow
from whorl.problem import Problem
from whorl.tree import Tree
from whorl.watch import Watch


@dataclass(frozen=True, slots=True)
class Budgeted:
    """The trees that fit into a budget of tokens.

    passes: per pass over the problems, how many of its trees fit the budget, a prefix in problem
        order.
    problems: that have a tree. failed: searches that ended in an error.
    tokens: sampled for those trees. left_out: for trees that were grown and would exceed the
        budget.
    wall, cpu: seconds of growing, by the calls that finished this budget and smaller ones. CPU is
        that of the process that leads; workers of a cluster are not counted.
    """

    passes: Sequence[int] = ()
    problems: int = 0
    failed: int = 0
    tokens: int = 0
    left_out: int = 0
    wall: float = 0.0
    cpu: float = 0.0


class Clock:
    """Stopwatch of wall and CPU seconds, which goes on from an earlier reading."""

    def __init__(self, wall: float = 0.0, cpu: float = 0.0) -> None:
        self._start = time.monotonic() - wall, time.process_time() - cpu

    def read(self) -> tuple[float, float]:
        return time.monotonic() - self._start[0], time.process_time() - self._start[1]


def grow_within(
    path: Path,
    problems: Sequence[Problem],
    opened: Crews,
    plan: GrowPlan,
    budget: int,
    watch: Watch,
) -> Iterator[Budgeted]:
    """Grow trees in problem order, pass after pass, until the next one would exceed `budget`.

    Yields what there is after each pass, or once, if all was done before. Trees of the round before
    (`plan.last`) are for the first pass. A larger budget than before adds to the trees there are;
    one below it counts the first of them.
    """
    record = path / f"{budget}.json"
    if record.exists():
        yield _read(record)
        return
    before = _before(path, budget)
    clock = Clock(before.wall, before.cpu)
    passes: list[int] = []
    reached: set[str] = set()
    spent = left_out = failed = 0
    told = WithinBudget(watch, budget)
    crew = opened.crew(*plan.recipe.roles, "judge")
    while not left_out:
        number = len(passes) + 1
        left = budget - spent
        own = replace(plan, seed=plan.seed + number)
        said = {"recipe": settings.as_table(plan.recipe), "seed": own.seed}
        said["policy"] = opened.engines.policy
        with RunFolder.open(path / f"{number}", said, version=__version__) as folder:
            costs, missed = grow_pass(folder, problems, own, crew, left, told)
            failed += missed
        if not costs:
            raise UserError(f"{plan.name}: no search succeeded, see {folder.failures}")
        fit = sum(total <= left for total in accumulate(costs))
        passes += [fit] if fit else []
        spent += sum(costs[:fit])
        left_out, plan = sum(costs[fit:]), replace(plan, last=None)
        reached |= {tree.problem.id for tree in islice(read_trees(folder.trees), fit)}
        gathered = Budgeted(tuple(passes), len(reached), failed, spent, left_out, *clock.read())
        if left_out:
            with replacing(record) as file:
                file.write(json.dumps(asdict(gathered), indent=2).encode() + b"\n")
        yield gathered


def grow_pass(
    folder: RunFolder,
    problems: Sequence[Problem],
    plan: GrowPlan,
    crew: Crew,
    budget: int,
    told: WithinBudget,
) -> tuple[list[int], int]:
    """Grow trees, some problems at a time, until they exceed the budget or no problem is left.
    Returns the cost of each in problem order, and how many searches failed.

    How many are started depends on the costs of those before alone, so the trees are the same
    however often the work is interrupted.
    """
    costs: list[int] = []
    started, failed, before = 0, 0, told.spent
    while started < len(problems) and sum(costs) <= budget:
        more = 8 * started
        if costs:  # at the mean cost so far, less a fifth: the mean is only an estimate
            more = min(more, int(0.8 * (budget - sum(costs)) * started / sum(costs)))
        started = min(len(problems), started + max(1, more))
        now = problems[:started]
        grown = grow(folder, now, plan, crew, watch=told, expected=len(now))
        failed = len(grown.failures)
        ids = {problem.id for problem in now}
        trees = read_trees(folder.trees)
        costs = [sum(tree.cost.values()) for tree in trees if tree.problem.id in ids]
        told.spent = before + sum(costs)
    return costs, failed


def _before(path: Path, budget: int) -> Budgeted:
    """The record of the largest smaller budget in the folder."""
    smaller = [record for record in path.glob("*.json") if int(record.stem) < budget]
    return _read(max(smaller, key=lambda record: int(record.stem))) if smaller else Budgeted()


def _read(record: Path) -> Budgeted:
    return Budgeted(**json.loads(record.read_text()))


def write_counted(file: Path, trees: Iterable[Tree]) -> None:
    """Write trees that are within the budget into `file`."""
    with replacing(file) as out:
        for tree in trees:
            out.write(tree.to_json().encode() + b"\n")


def counted(path: Path, passes: Sequence[int]) -> Iterator[Tree]:
    """The trees under `path` that are within the budget, of all passes."""
    for number, count in enumerate(passes, start=1):
        yield from islice(read_trees(path / f"{number}" / "trees.jsonl"), count)

"""Growing trees within a budget of tokens: pass after pass over the problems, until a tree is too
much."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from whorl import __version__, settings
from whorl.compare.clock import Clock, Seconds, begun
from whorl.compare.spoken import WithinBudget
from whorl.data.atomic import replacing
from whorl.data.forest import Forest, Key, key_of, read_trees
from whorl.engines.crew import Crew
from whorl.engines.model import unaddressed
from whorl.engines.roles import Crews
from whorl.engines.spec import Spec
from whorl.errors import UserError
from whorl.loop.folder import RunFolder
from whorl.loop.grow import GrowPlan, grow
from whorl.problem import Problem
from whorl.recipe import arms_of
from whorl.tree import Tree
from whorl.watch import Watch


@dataclass(frozen=True, slots=True)
class Budgeted:
    """The trees that fit into a budget of tokens.

    passes: per pass over the problems, the keys of its trees that fit the budget: as many searches
        as do, in problem order.
    problems: that have a tree. failed: searches that ended in an error.
    tokens: sampled for those searches, the failed ones too. left_out: for searches that were made
        and would exceed the budget.
    wall, cpu: seconds of growing for this budget and smaller ones, over all calls, however each
        ended. CPU is that of this process and those that it started; a cluster's are not counted.
    """

    passes: Sequence[Sequence[Key]] = ()
    problems: int = 0
    failed: int = 0
    tokens: int = 0
    left_out: int = 0
    wall: float = 0.0
    cpu: float = 0.0


class Searched(NamedTuple):
    """A search that was made: the key of its tree, its sampled tokens, and whether it came to a
    tree or failed."""

    key: Key
    tokens: int
    grown: bool


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
    earlier = _earlier(path, budget)
    with Clock(path / f"{budget}.begun") as clock:
        for grown in _passes(path, problems, opened, plan, WithinBudget(watch, budget)):
            wall, cpu = earlier.more(clock.read())
            gathered = replace(grown, wall=wall, cpu=cpu)
            if gathered.left_out:
                with replacing(record) as file:
                    file.write(json.dumps(asdict(gathered), indent=2).encode() + b"\n")
            yield gathered


def _passes(
    path: Path, problems: Sequence[Problem], opened: Crews, plan: GrowPlan, told: WithinBudget
) -> Iterator[Budgeted]:
    """As `grow_within`, without its seconds and its record."""
    passes: list[Sequence[Key]] = []
    spent = left_out = failed = 0
    crew = opened.crew(*plan.recipe.roles, "judge")
    while not left_out:
        number = len(passes) + 1
        left = told.budget - spent
        own = replace(plan, seed=plan.seed + number)
        said = {"recipe": settings.as_table(plan.recipe), "seed": own.seed}
        policy = Spec.read(unaddressed(opened.engines.policy))
        said["policy"] = str(policy.seen_from(path.parent))
        with RunFolder.open(path / f"{number}", said, version=__version__) as folder:
            made = grow_pass(folder, problems, own, crew, left, told)
        if not any(search.grown for search in made):
            raise UserError(f"{plan.name}: no search succeeded, see {folder.failures}")
        fit = sum(total <= left for total in accumulate(search.tokens for search in made))
        keys = [search.key for search in made[:fit] if search.grown]
        passes += [keys] if keys else []
        spent += sum(search.tokens for search in made[:fit])
        left_out = sum(search.tokens for search in made[fit:])
        failed += sum(not search.grown for search in made)
        plan = replace(plan, last=None)
        reached = {name for keys in passes for name, _ in keys}
        yield Budgeted(tuple(passes), len(reached), failed, spent, left_out)


def grow_pass(
    folder: RunFolder,
    problems: Sequence[Problem],
    plan: GrowPlan,
    crew: Crew,
    budget: int,
    told: WithinBudget,
) -> list[Searched]:
    """Grow trees, some problems at a time, until they exceed the budget or no problem is left.
    Returns the searches that were made, in problem order.

    How many are started depends on the costs of those before alone, so the trees are the same
    however often the work is interrupted.
    """
    made: list[Searched] = []
    started = spent = 0
    before = told.spent
    while started < len(problems) and spent <= budget:
        more = 8 * started
        if spent:  # at the mean cost so far, less a fifth: the mean is only an estimate
            more = min(more, int(0.8 * (budget - spent) * started / spent))
        started = min(len(problems), started + max(1, more))
        now = problems[:started]
        grown = grow(folder, now, plan, crew, watch=told, expected=len(now))
        made = list(_made(folder.trees, now, arms_of(plan.recipe), grown.lost))
        spent = sum(search.tokens for search in made)
        told.spent = before + spent
    return made


def _made(
    trees: Path, problems: Iterable[Problem], arms: Iterable[str], lost: Mapping[str, int]
) -> Iterator[Searched]:
    """The searches of some problems, in their order. lost: tokens of those that failed."""
    costs = {key_of(tree): sum(tree.cost.values()) for tree in read_trees(trees)}
    for problem in problems:
        for arm in arms:
            key = problem.id, arm
            if key in costs:
                yield Searched(key, costs[key], grown=True)
            elif (failed := f"{problem.id}#{arm}") in lost:
                yield Searched(key, lost[failed], grown=False)


def _earlier(path: Path, budget: int) -> Seconds:
    """Seconds of growing so far for smaller budgets: those on the record of the largest one, and
    those of calls that ended before they were through with a larger one than that."""
    records = {int(record.stem): record for record in path.glob("*.json")}
    before = max((done for done in records if done < budget), default=0)
    done = _read(records[before]) if before else Budgeted()
    found = Seconds(done.wall, done.cpu)
    for record in path.glob("*.begun"):
        if before < int(record.stem) < budget:
            found = found.more(begun(record))
    return found


def _read(record: Path) -> Budgeted:
    said = json.loads(record.read_text())
    passes = said.pop("passes")
    if any(isinstance(keys, int) for keys in passes):
        raise UserError(f"{record.parent} is of an earlier whorl; begin the comparison elsewhere")
    passes = tuple([(name, arm) for name, arm in keys] for keys in passes)
    return Budgeted(passes, **said)


def write_counted(file: Path, trees: Iterable[Tree]) -> None:
    """Write trees that are within the budget into `file`."""
    with replacing(file) as out:
        for tree in trees:
            out.write(tree.to_json().encode() + b"\n")


def counted(path: Path, passes: Sequence[Sequence[Key]]) -> Iterator[Tree]:
    """The trees under `path` that are within the budget, of all passes. Raises `UserError` if one
    is not there any more."""
    for number, keys in enumerate(passes, start=1):
        with Forest(path / f"{number}" / "trees.jsonl") as forest:
            for key in keys:
                tree = forest.get(key)
                if tree is None:
                    raise UserError(f"{forest.path} has lost a tree of {key[0]}")
                yield tree

"""Trees within a budget: it holds, and more of it only adds to them."""

import json
from collections.abc import Set
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import pytest

from whorl import __version__
from whorl.ask import Ask, Replies, Role
from whorl.compare.budgeted import Budgeted, counted, grow_pass, grow_within
from whorl.compare.spoken import WithinBudget
from whorl.engines import toy
from whorl.engines.crew import Here
from whorl.engines.function import Function
from whorl.engines.journal import Journal
from whorl.engines.roles import Engines
from whorl.errors import UserError
from whorl.loop.folder import RunFolder
from whorl.loop.grow import GrowPlan
from whorl.recipes import Rft, Sigma
from whorl.search import Uct
from whorl.watch import Quiet

PLAN = GrowPlan(Rft(samples=4), "rft", seed=5)
PROBLEMS = list(toy.problems(40))
UNEVEN = [
    replace(problem, id=f"p{number}")  # by which 10 comes before 2
    for number in range(40)
    for problem in toy.problems(1, terms=2 + number * 7 % 11, seed=number)
]


class Counted:
    """The toy world, counting what it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def answer(self, ask: Ask) -> Replies:
        self.asked += 1
        return toy.answer(ask)


class Opened:
    """Open engines of the toy world, in which some problems are too long for the critic."""

    engines = Engines("local:toy")

    def __init__(self, too_long: Set[str] = frozenset()) -> None:
        self._too_long = too_long

    def follow(self, engines: Engines) -> None: ...

    def crew(self, *roles: Role) -> Here:
        return Here(dict.fromkeys(roles, Function(self._answer)))

    def _answer(self, ask: Ask) -> Replies:
        if ask.role == "critic" and any(question in ask.prompt.user for question in self._too_long):
            raise ValueError("the prompt is too long")
        return toy.answer(ask)


class Stopped(Opened):
    """Engines that somebody stops at the first ask."""

    def _answer(self, ask: Ask) -> Replies:
        raise KeyboardInterrupt


def within(path: Path, budget: int) -> tuple[list[int], bytes, int]:
    """Costs, the file of trees, and asks that reached the policy."""
    world = Counted()
    with RunFolder.open(path, {}, version=__version__) as folder:
        crew = Here({"policy": Function(world.answer)})
        made = grow_pass(folder, PROBLEMS, PLAN, crew, budget, WithinBudget(Quiet(), budget))
        assert all(search.grown for search in made)
        return [search.tokens for search in made], folder.trees.read_bytes(), world.asked


def last(path: Path, plan: GrowPlan, budget: int, opened: Opened | None = None) -> Budgeted:
    *_, gathered = grow_within(path, UNEVEN, opened or Opened(), plan, budget, Quiet())
    return gathered


def test_the_budget_holds_but_for_the_last_search(tmp_path: Path) -> None:
    every, _, _ = within(tmp_path / "all", 10**9)
    assert len(every) == len(PROBLEMS)
    for budget in (1, every[0], sum(every[:7]), sum(every) // 2, sum(every) - 1):
        costs, _, _ = within(tmp_path / f"{budget}", budget)
        assert costs == every[: len(costs)], "the first trees, in problem order"
        fit = sum(total <= budget for total in accumulate(costs))
        assert fit == sum(total <= budget for total in accumulate(every)), "none is missing"
        assert len(costs) - fit <= 2, "hardly more than one search too many"


def test_more_tokens_add_to_the_trees_and_ask_nothing_again(tmp_path: Path) -> None:
    every, at_once, asked = within(tmp_path / "at once", 10**9)
    steps = [within(tmp_path / "by and by", sum(every) * k // 4) for k in (1, 2, 3)]
    whole = within(tmp_path / "by and by", 10**9)
    assert whole[:2] == (every, at_once)
    assert sum(step[2] for step in steps) + whole[2] == asked
    again = within(tmp_path / "by and by", sum(every) // 3)
    assert again[2] == 0 and again[0] == every[: len(again[0])]


def test_a_smaller_budget_later_leaves_the_larger_one_its_trees(tmp_path: Path) -> None:
    large = last(tmp_path, PLAN, 3000)
    trees = [tree.to_json() for tree in counted(tmp_path, large.passes)]
    assert sum(sum(tree.cost.values()) for tree in counted(tmp_path, large.passes)) == large.tokens
    small = last(tmp_path, PLAN, 600)
    assert small.tokens <= 600 and small.passes[0] == large.passes[0][: len(small.passes[0])]
    assert last(tmp_path, PLAN, 3000) == large
    assert [tree.to_json() for tree in counted(tmp_path, large.passes)] == trees


def test_growing_that_was_interrupted_keeps_its_seconds(tmp_path: Path) -> None:
    def stopped(budget: int, wall: float) -> None:
        """As a call that was killed leaves it, so many seconds after it began."""
        (tmp_path / f"{budget}.begun").write_text(json.dumps({"wall": wall, "cpu": wall / 2}))

    stopped(600, 1000)
    small = last(tmp_path, PLAN, 600)
    assert 1000 <= small.wall < 1060 and 500 <= small.cpu < 530
    assert not (tmp_path / "600.begun").exists()
    stopped(1200, 2000)  # then another number of tokens was asked for
    stopped(3000, 4000)
    large = last(tmp_path, PLAN, 3000)
    assert 7000 <= large.wall < 7120, "all that led to these trees, each second once"
    middle = last(tmp_path, PLAN, 1200)
    assert 3000 <= middle.wall < 3060
    assert last(tmp_path, PLAN, 6000).wall < 7180
    with pytest.raises(KeyboardInterrupt):
        last(tmp_path, PLAN, 9000, Stopped())
    assert json.loads((tmp_path / "9000.begun").read_text())["wall"] > 0


def test_a_record_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    found = last(tmp_path, PLAN, 600)
    record = tmp_path / "600.json"
    record.write_text(
        json.dumps(json.loads(record.read_text()) | {"passes": [len(found.passes[0])]})
    )
    with pytest.raises(UserError, match="of an earlier whorl"):
        last(tmp_path, PLAN, 600)


def test_searches_that_fail_are_charged(tmp_path: Path) -> None:
    plan = GrowPlan(Sigma(Uct(simulations=4), temperatures=(0.7,)), "sigma")
    too_long = {problem.question for problem in UNEVEN[::2]}
    found = last(tmp_path, plan, 4000, Opened(too_long))
    assert found.failed and found.tokens <= 4000
    sampled = 0
    for path in tmp_path.glob("*/journal.db"):
        with Journal(path) as journal:
            sampled += sum(usage.sampled for _, usage in journal.usage())
    assert found.tokens + found.left_out == sampled

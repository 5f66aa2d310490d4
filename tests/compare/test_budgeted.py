"""Trees within a budget: it holds, and more of it only adds to them."""

from itertools import accumulate
from pathlib import Path

from whorl import __version__
from whorl.ask import Ask, Replies
from whorl.compare.budgeted import grow_pass
from whorl.compare.spoken import WithinBudget
from whorl.engines import toy
from whorl.engines.crew import Here
from whorl.engines.function import Function
from whorl.loop.folder import RunFolder
from whorl.loop.grow import GrowPlan
from whorl.recipes.rft import Rft
from whorl.watch import Quiet

PLAN = GrowPlan(Rft(samples=4), "rft", seed=5)
PROBLEMS = list(toy.problems(40))


class Counted:
    """The toy world, counting what it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def answer(self, ask: Ask) -> Replies:
        self.asked += 1
        return toy.answer(ask)


def within(path: Path, budget: int) -> tuple[list[int], bytes, int]:
    """Costs, the file of trees, and asks that reached the policy."""
    world = Counted()
    with RunFolder.open(path, {}, version=__version__) as folder:
        crew = Here({"policy": Function(world.answer)})
        costs, failed = grow_pass(
            folder, PROBLEMS, PLAN, crew, budget, WithinBudget(Quiet(), budget)
        )
        assert failed == 0
        return costs, folder.trees.read_bytes(), world.asked


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
    last = within(tmp_path / "by and by", 10**9)
    assert last[:2] == (every, at_once)
    assert sum(step[2] for step in steps) + last[2] == asked
    again = within(tmp_path / "by and by", sum(every) // 3)
    assert again[2] == 0 and again[0] == every[: len(again[0])]

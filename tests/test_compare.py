"""Recipes at equal cost: budgets that hold, the same trees however often interrupted, one table."""

import json
import re
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from sqlite3 import connect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl import __version__
from whorl.ask import Ask, Replies
from whorl.compare import Comparison, check, compare, grow_within, judge, pool
from whorl.data.forest import read_trees
from whorl.data.problems import write_problems
from whorl.data.synthetic import problems
from whorl.engines import toy
from whorl.engines.function import Function
from whorl.entries import PAPERS, TINY, select, unscored
from whorl.errors import UserError
from whorl.evaluate import Decoding, Score, paired, paired_over, pass_rate, pass_rate_over
from whorl.folder import RunFolder
from whorl.iterate import Engines
from whorl.models import POLICY
from whorl.recipes.rft import Rft
from whorl.recipes.sphere import Sphere
from whorl.stages import Plan

PLAN = Plan(Rft(samples=4), "rft", seed=5)
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
        engines = {"policy": Function(world.answer)}
        costs, failed = grow_within(folder, PROBLEMS, PLAN, engines, budget, None)
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


def scores(*right: float) -> list[Score]:
    return [Score(f"p{i}", "", (r,), ("1",)) for i, r in enumerate(right)]


marks = st.lists(st.sampled_from([0.0, 1.0]), min_size=6, max_size=6)


@given(marks, marks, st.integers(1, 4))
def test_repeating_a_run_adds_no_certainty(before: list[float], after: list[float], n: int) -> None:
    one, other = scores(*before), scores(*after)
    single, repeated = paired_over([(one, other)]), paired_over([(one, other)] * n)
    assert repeated.difference == single.difference
    assert repeated.p_value == pytest.approx(single.p_value)
    assert (repeated.fixed, repeated.broken) == (n * single.fixed, n * single.broken)
    assert single.difference.value == pytest.approx(paired(one, other).difference.value)
    assert 0 <= single.p_value <= 1
    turned = paired_over([(other, one)])
    assert turned.difference.value == pytest.approx(-single.difference.value)
    assert turned.p_value == pytest.approx(single.p_value)


def test_pooling_is_over_problems_and_runs() -> None:
    first, second = scores(1, 1, 0, 0), scores(1, 0, 0, 0)
    assert pass_rate_over([first, second], 1).value == pytest.approx(3 / 8)
    assert pass_rate_over([first], 1).value == pass_rate(first, 1).value
    # changes 1/2, 0, 1/2, 1 by problem: mean 1/2, deviation 0.408, t = 2.449 of 3 degrees
    before, after = scores(0, 0, 0, 0), [scores(1, 0, 0, 1), scores(0, 0, 1, 1)]
    found = paired_over([(before, own) for own in after])
    assert found.difference.value == 0.5
    assert found.p_value == pytest.approx(0.0917, abs=1e-3)
    with pytest.raises(UserError, match="same problems"):
        paired_over([(first, second), (first[:2], second[:2])])


def test_names_and_overrides() -> None:
    plain, unrefined = select(
        TINY,
        ["sigma", "sigma_unrefined"],
        ["sigma.recipe.uct.simulations=3", "sigma.train.epochs=2", "sigma_unrefined.train.lr=0.5"],
    )
    assert plain.grow.uct.simulations == unrefined.grow.uct.simulations == 3  # type: ignore[attr-defined]
    assert unrefined.forest == "sigma" and unrefined.harvest.take == "unrefined"  # type: ignore[attr-defined]
    assert (plain.train.epochs, unrefined.train.epochs, unrefined.train.lr) == (2, 2, 0.5)
    (rft,) = select(PAPERS, ["rft"], ["rft.shares=[0.1, 1.0]"])
    assert rft.shares == (0.1, 1.0) and rft.grow == Rft()
    sphere = unscored(PAPERS)["sphere"].grow
    assert isinstance(sphere, Sphere) and "prm" not in sphere.roles
    for names, sets, message in (
        (["simga"], [], "did you mean sigma"),
        (["rft"], ["rtf.train.lr=1"], "did you mean rft"),
        (["rft"], ["rft.recipe.smaples=1"], "did you mean samples"),
        (["rft"], ["rft.shares=[0.5, 0.2]"], "shares should rise"),
    ):
        with pytest.raises(UserError, match=message):
            select(PAPERS, names, sets)


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    """RFT and one variant on three easy problems, which it goes over again and again."""
    write_problems(tmp_path / "p.jsonl", problems("pool", 3, seed=0, levels=[1]))
    write_problems(tmp_path / "t.jsonl", problems("test", 8, seed=1, levels=[1]))
    policy = f"local:{POLICY}"
    sets = ["rft.recipe.samples=2", "rft.train.epochs=1", "rft.shares=[0.5,1]"]
    return Comparison(
        tmp_path / "p.jsonl",
        tmp_path / "t.jsonl",
        Engines(policy, reviser=policy, processes=0),
        select(TINY, ["rft", "black_box"], [*sets, "black_box.recipe.samples=2"]),
        900,
        seeds=1,
        evaluate=Decoding(n=4, temperature=0.8, max_tokens=120),
        jobs=2,
    )


class Silent:
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)


def test_what_cannot_be_compared_is_refused(comparison: Comparison) -> None:
    with pytest.raises(UserError, match="black_box asks a reviser: name one, --reviser"):
        check(replace(comparison, engines=replace(comparison.engines, reviser="")))
    with pytest.raises(UserError, match="3 problems are both in"):
        check(replace(comparison, test=comparison.problems))


@pytest.mark.slow
def test_equal_cost_and_nothing_is_done_twice(comparison: Comparison, tmp_path: Path) -> None:
    poor = RunFolder.open(tmp_path / "poor", {}, version=__version__)
    with poor, pytest.raises(UserError, match="tokens do not last") as refused:
        compare(poor, replace(comparison, tokens=10, jobs=1), Silent())  # type: ignore[arg-type]
    said = re.search(
        r"--tokens (\d+) .*rft, seed 0: (\d+), black_box, seed 0: (\d+)", str(refused.value)
    )
    assert said and int(said[1]) == max(int(said[2]), int(said[3])) > 10
    with RunFolder.open(tmp_path / "run", {}, version=__version__) as folder:
        outcome = compare(folder, comparison, Silent())  # type: ignore[arg-type]
        for result in outcome.results:
            last = result.last.point
            grown = list(result.students)
            assert [s.point.tokens for s in grown] == sorted(s.point.tokens for s in grown)
            assert last.tokens <= 900 < last.tokens + last.left_out
            assert last.passes > 1 and last.problems == 3
            assert last.trees == sum(1 for _ in counted(folder.path, result.entry.forest, last))
            verdict, pooled = judge(outcome, result), pool(outcome, [result])
            assert set(verdict.passed) == {1, 4}
            assert verdict.accuracy.value == pytest.approx(pooled.accuracy.value)
            assert (verdict.against_rft is None) == (result.entry.name == "rft")
        watch = Silent()
        again = compare(folder, comparison, watch)  # type: ignore[arg-type]
    assert not watch.said and again == outcome


def counted(path: Path, forest: str, point: object) -> list[object]:
    """The trees of all passes whose cost is within what was counted."""
    trees: list[object] = []
    left = point.tokens  # type: ignore[attr-defined]
    for number in range(1, point.passes + 1):  # type: ignore[attr-defined]
        for tree in read_trees(path / "seed-0" / "trees" / forest / f"{number}" / "trees.jsonl"):
            left -= sum(tree.cost.values())
            if left >= 0:
                trees.append(tree)
    return trees


ARGUMENTS = ("compare", "--preset", "smoke", "--recipes", "rft", "--tokens", "4000", "--json")


@pytest.mark.slow
def test_a_killed_comparison_goes_on_with_what_it_has(tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-c", "from whorl.cli import main; main()", *ARGUMENTS]
    command += ["--run", str(run)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    journal = run / "seed-0" / "trees" / "rft" / "1" / "journal.db"
    deadline = time.monotonic() + 200
    while process.poll() is None and not answered(journal) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    kept = answered(journal)
    assert kept
    done = subprocess.run(command, capture_output=True, text=True)
    while "in use" in done.stderr and time.monotonic() < deadline:  # a child is still ending
        done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert kept <= answered(journal), "no row was written again"
    (found,) = json.loads(done.stdout.splitlines()[-1])
    assert found["recipe"] == "rft" and found["tokens"] <= 4000
    assert found["low"] <= found["accuracy"] <= found["high"]
    page = (run / "compare.html").read_text()
    assert "Accuracy against generated tokens" in page and "rft" in (run / "compare.md").read_text()
    other = subprocess.run([*command, "--seeds", "1", "--tokens", "5000"], capture_output=True)
    assert other.returncode == 2 and b"belongs to other settings" in other.stderr


def answered(journal: Path) -> set[tuple[int, bytes]]:
    if not journal.exists():
        return set()
    with closing(connect(journal)) as database:
        tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        return set(database.execute("SELECT rowid, ask FROM answer")) if tables else set()

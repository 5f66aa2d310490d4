"""What a search may cost at most, and what a few that were tried did."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from whorl import Function, drive, toy
from whorl.ask import Ask, Replies
from whorl.budget import Budget, Limits, Price, Prices
from whorl.cli.estimate import at_most, by_trial, evaluation_at_most, findable_gain
from whorl.data.problems import write_problems
from whorl.engines.crew import Here
from whorl.engines.roles import Engines
from whorl.evaluate import Decoding
from whorl.loop.estimate import try_problems
from whorl.loop.run import Run
from whorl.loop.split import Survey
from whorl.recipe import arms_of, tokens_at_most
from whorl.recipes import RECIPES, Rft, find_recipe
from whorl.rollout import Sampling
from whorl.watch import Quiet

ROLES = ("policy", "critic", "reviser", "small", "teacher", "prm", "judge")


def wordy(ask: Ask) -> Replies:
    """The toy world, in which every sample is as long as it may be."""
    return tuple(replace(reply, tokens=ask.max_tokens) for reply in toy.answer(ask))


@pytest.mark.parametrize("name", RECIPES)
def test_no_search_costs_more_than_it_may(name: str) -> None:
    recipe = find_recipe(name)()
    for arm in arms_of(recipe).values():
        searches = ((problem.id, arm.grow(problem)) for problem in toy.problems(8))
        for finished in drive(searches, dict.fromkeys(ROLES, Function(wordy))):
            assert finished.error is None
            paid = {role: spent for role, spent in finished.cost.items() if role != "judge"}
            assert 0 < sum(paid.values()) <= tokens_at_most(arm)


def test_problems_that_are_tried_say_what_all_will_cost(tmp_path: Path) -> None:
    file = tmp_path / "problems.jsonl"
    write_problems(file, toy.problems(10))
    prices = Prices(policy=Price(sampled=2.0))
    recipe = Rft(Sampling(1.0, solution_tokens=50), samples=3)
    run = Run(
        tmp_path / "run", file, Engines("policy"), recipe, rounds=2, budget=Budget(prices=prices)
    )
    found = Survey(problems=10)
    assert list(at_most(run, found)) == [
        "searches: 10 in each round, 30 samples at most",
        f"tokens: {30 * 256:,} at most in each round, {60 * 256:,} in all 2; most searches end far "
        "below that",
        "money: 0.03 at most for what is sampled; what is read comes on top",
    ]
    crew = Here(dict.fromkeys(("policy", "judge"), Function(wordy)))
    tried = try_problems(run, crew, 4, Quiet())
    assert tried.tokens == (150,) * 4 and tried.spent.by_role["policy"].sampled == 600
    assert tried.failures == {} and not (tmp_path / "run").exists()
    first, second, third = by_trial(run, found, tried)
    assert first.startswith("tried 4 problems: 150 tokens each, from 150 to 150, in ")
    assert second.startswith("growing of 2 rounds: about 3,000 tokens (90 % interval 3,000 to ")
    assert third == "money: about 0.01"


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"tokens": 300}, "tokens = 300 will end growing after about 2 of 20 searches, in round 1"),
        ({"tokens": 2000, "requests": 12}, "requests = 12 will end growing after about 12 of 20"),
        (
            {"money": 0.003},
            "money = 0.003 will end growing after about 10 of 20 searches, in round 2",
        ),
        ({"tokens": 3001, "requests": 21, "seconds": 1e9}, ""),
    ],
)
def test_a_budget_of_the_run_leaves_what_is_tried_whole_and_says_where_it_ends(
    tmp_path: Path, limits: dict[str, Any], told: str
) -> None:
    file = tmp_path / "problems.jsonl"
    write_problems(file, toy.problems(10))
    recipe = Rft(Sampling(1.0, solution_tokens=50), samples=3)
    budget = Budget(**limits, prices=Prices(policy=Price(sampled=2.0)))
    run = Run(tmp_path / "run", file, Engines("policy"), recipe, rounds=2, budget=budget)
    crew = Here(dict.fromkeys(("policy", "judge"), Function(wordy)))
    tried = try_problems(run, crew, 4, Quiet())
    assert tried.tokens == (150,) * 4
    _, growing, _, *ending = by_trial(run, Survey(problems=10), tried)
    assert growing.startswith("growing of 2 rounds: about 3,000 tokens")
    assert len(ending) == bool(told) and all(f"budget.{told}" in line for line in ending)


def test_the_budget_of_a_problem_holds_for_what_is_tried(tmp_path: Path) -> None:
    file = tmp_path / "problems.jsonl"
    write_problems(file, toy.problems(4))
    budget = Budget(tokens=1, problem=Limits(requests=1))
    recipe = find_recipe("step_dpo")()
    run = Run(tmp_path / "run", file, Engines("policy"), recipe, budget=budget)
    crew = Here(dict.fromkeys(("policy", "judge"), Function(wordy)))
    free = try_problems(replace(run, budget=Budget()), crew, 4, Quiet())
    assert 0 < sum(try_problems(run, crew, 4, Quiet()).tokens) < sum(free.tokens)


def test_an_evaluation_says_what_it_may_take() -> None:
    assert "600 problems find a true gain of 5.1 points" in findable_gain(600)
    told = evaluation_at_most(Decoding(4, 0.8, max_tokens=100, thought_tokens=50), 10)
    assert told == "evaluation: 10 problems, 4 attempts at each, 6,000 tokens at most"

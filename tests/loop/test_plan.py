"""What a round starts from: one function says it, for rounds that are played and for others."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.engines.roles import Engines, following
from whorl.loop.plan import RoundPlan, plan_of
from whorl.loop.run import Run
from whorl.recipes.rft import Rft

RUN = Run(Path("runs/a"), Path("p.jsonl"), Engines("local:m", critic="local:c"), Rft(), seed=7)


def test_the_first_round_starts_from_what_the_run_names() -> None:
    assert plan_of(RUN, 1) == RoundPlan(1, 7, RUN.engines, Path("runs/a/round-1"), None)


def test_a_later_one_starts_from_the_model_and_the_trees_of_the_round_before() -> None:
    third = plan_of(RUN, 3)
    assert (third.number, third.seed, third.folder) == (3, 9, Path("runs/a/round-3"))
    assert third.last == Path("runs/a/round-2/trees.jsonl")
    assert third.engines == replace(RUN.engines, policy="local:runs/a/round-2/checkpoint")


def test_a_student_of_its_own_goes_on_and_the_policy_stays() -> None:
    run = replace(RUN, engines=replace(RUN.engines, student="local:s"))
    third = plan_of(run, 3)
    assert third.engines == replace(run.engines, student="local:runs/a/round-2/checkpoint")
    assert third.engines.measured().policy == third.engines.learner == third.engines.student
    assert RUN.engines.measured() == RUN.engines


@pytest.mark.parametrize(
    "policy", ["local:m", "vllm:m?dtype=float32", "server:http://a/v1?model=b"]
)
@given(number=st.integers(1, 9), seed=st.integers(0, 99))
def test_each_policy_follows_the_one_before(policy: str, number: int, seed: int) -> None:
    """Round by round comes to the same as straight from the run."""
    run = replace(RUN, seed=seed, engines=replace(RUN.engines, policy=policy))
    plan, after = plan_of(run, number), plan_of(run, number + 1)
    assert after.engines.policy == following(plan.engines.policy, plan.folder / "checkpoint")
    assert after.last == plan.folder / "trees.jsonl"
    assert after.seed == plan.seed + 1
    assert "dtype=float32" in after.engines.policy or not policy.startswith("vllm:")

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
    assert plan_of(RUN, 1) == RoundPlan(1, 7, "local:m", Path("runs/a/round-1"), None)
    assert plan_of(RUN, 1).engines(RUN) == RUN.engines


def test_a_later_one_starts_from_the_model_and_the_trees_of_the_round_before() -> None:
    third = plan_of(RUN, 3)
    assert (third.number, third.seed, third.folder) == (3, 9, Path("runs/a/round-3"))
    assert third.policy == "local:runs/a/round-2/checkpoint"
    assert third.last == Path("runs/a/round-2/trees.jsonl")
    assert third.engines(RUN) == replace(RUN.engines, policy=third.policy)


@pytest.mark.parametrize(
    "policy", ["local:m", "vllm:m?dtype=float32", "server:http://a/v1?model=b"]
)
@given(number=st.integers(1, 9), seed=st.integers(0, 99))
def test_each_policy_follows_the_one_before(policy: str, number: int, seed: int) -> None:
    """Round by round comes to the same as straight from the run."""
    run = replace(RUN, seed=seed, engines=replace(RUN.engines, policy=policy))
    plan, after = plan_of(run, number), plan_of(run, number + 1)
    assert after.policy == following(plan.policy, plan.folder / "checkpoint")
    assert after.last == plan.folder / "trees.jsonl"
    assert after.seed == plan.seed + 1
    assert "dtype=float32" in after.policy or not policy.startswith("vllm:")

"""What a run is before anything is opened: who answers, and what they cost."""

from dataclasses import replace
from pathlib import Path

import pytest

from whorl.budget import Budget, Price, Prices
from whorl.engines.roles import Engines
from whorl.errors import UserError
from whorl.learn.training import Training
from whorl.loop.run import Run
from whorl.loop.runfile import answered
from whorl.recipes.sigma import Sigma

PAID, OTHER = Price(prompt=0.1, sampled=0.4), Price(sampled=2.0)
RUN = Run(
    Path("runs/a"),
    Path("p.jsonl"),
    Engines("server:http://h/v1?model=m"),
    Sigma(),
    budget=Budget(money=5.0, prices=Prices(policy=PAID)),
)


def test_a_role_that_the_policy_plays_costs_what_the_policy_does() -> None:
    """A limit of money would not hold if its critiques were free."""
    assert answered(RUN).engines.critic == RUN.engines.policy
    assert answered(RUN).budget == replace(
        RUN.budget, prices=Prices(policy=PAID, critic=PAID, reviser=PAID)
    )
    dear = replace(RUN, budget=replace(RUN.budget, prices=Prices(policy=PAID, critic=OTHER)))
    assert answered(dear).budget.prices.critic == OTHER
    own = replace(RUN, engines=replace(RUN.engines, critic="local:c"))
    assert answered(own).budget.prices == Prices(policy=PAID, reviser=PAID)


def test_a_tracker_of_training_is_looked_for_before_anything_is_grown() -> None:
    with pytest.raises(UserError, match="report_to = wandv: wandv is not supported"):
        answered(replace(RUN, train=Training(report_to="wandv")))

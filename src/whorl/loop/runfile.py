"""Run files: reading one, and checking that every role that is asked has an engine."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from whorl import engines
from whorl.ask import Role
from whorl.budget import Price
from whorl.data.naming import named
from whorl.data.storage import LOCAL, fetched, url_of
from whorl.errors import UserError
from whorl.learn.training import check_trackers
from whorl.loop.run import Run
from whorl.recipe import asked_roles, unsound
from whorl.recipes import name_of
from whorl.settings import read_table
from whorl.watch import trackers


def read_run(path: Path, overrides: Sequence[str] = ()) -> Run:
    """Read the run file at `path`, with `KEY=VALUE` overrides; problems that are behind a URL are
    fetched. Raises `UserError` that says what is wrong."""
    run = read_table(path, Run, overrides)
    if url := url_of(run.folder):
        raise UserError(f"{url}: a run folder has to be a path on this machine; {LOCAL}")
    if url := url_of(run.problems):
        run = replace(run, problems=fetched(url))
    if run.test and (url := url_of(run.test)):
        run = replace(run, test=fetched(url))
    return replace(run, folder=named(run.folder))  # its sample and its probes lie beside it


BY_POLICY: tuple[Role, ...] = ("critic", "reviser")
"""Roles that the policy plays where nobody else is named: the first one, in every round. What a
model that learns to solve would come to say as a critic, nobody trains or measures."""


def answered(run: Run) -> Run:
    """The run with an engine for every role that its recipe asks: the policy criticises and revises
    unless others are named.

    Raises `UserError` if an engine's name cannot be read, if a tracker is not there, of growing or
    of training, or if roles have no engine: all of them at once.
    """
    for spec in filter(None, (*run.engines.named().values(), run.engines.student)):
        engines.check(spec)
    trackers.check(run.trackers)
    if fault := unsound(run.recipe):
        raise UserError(f"{name_of(run.recipe)} is no recipe: {fault}")
    roles = asked_roles(run.recipe)
    named = run.engines.named()
    policy = named.get("policy", "")
    usual: dict[str, Any] = {
        role: policy for role in BY_POLICY if policy and role in roles and role not in named
    }
    lacking = [role for role in roles if role not in named and role not in usual]
    if lacking:
        name, asked = name_of(run.recipe), " and a ".join(lacking)
        give = " and ".join(f"--{role} MODEL" for role in lacking)
        keys = " and ".join(f"engines.{role}" for role in lacking)
        shipped = ", ".join(dict.fromkeys(_SHIPPED.get(role, "policy") for role in lacking))
        raise UserError(
            f"{name} asks a {asked}, and none is named; give {give}, or {keys} in a run file "
            f"(whorl's own tiny ones are called {shipped})"
        )
    check_trackers(run.train.trackers)
    return _played_by_policy(run, usual) if usual else run


def _played_by_policy(run: Run, usual: Mapping[str, Any]) -> Run:
    """The run with the policy in these roles, for its price where they have none."""
    prices = run.budget.prices
    same = {role: prices.policy for role in usual if getattr(prices, role) == Price()}
    budget = replace(run.budget, prices=replace(prices, **same))
    return replace(run, engines=replace(run.engines, **usual), budget=budget)


_SHIPPED = {"prm": "prm:prm", "small": "small", "teacher": "teacher"}

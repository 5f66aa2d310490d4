"""Abilities of engines that a run needs: what is refused before anything is grown."""

from dataclasses import replace
from pathlib import Path

import pytest

from whorl import Sampling, grow
from whorl.ask import Ask, Replies
from whorl.engines import toy
from whorl.engines.function import Function
from whorl.errors import UserError
from whorl.loop.trial import check_kinds
from whorl.recipe import Recipe
from whorl.recipes import Rft, Sigma, Sphere, TreeRl
from whorl.search import Uct
from whorl.steps import BlankLine, Entropy


def told(ask: Ask) -> Replies:
    """The toy world's replies, each with a log-probability."""
    return tuple(replace(reply, logprob=-1.0) for reply in toy.answer(ask))


@pytest.mark.parametrize(
    "recipe",
    [
        Rft(Sampling(steps=Entropy()), samples=2),
        Rft(Sampling(thought_tokens=40, inside=Entropy()), samples=2),
        Sigma(Uct(simulations=1, selection="puct")),
        TreeRl(chains=2),
    ],
)
def test_what_looks_at_likelihoods_needs_log_probabilities(recipe: Recipe, tmp_path: Path) -> None:
    engines = dict.fromkeys(recipe.roles, Function(dumb))
    with pytest.raises(UserError, match="log-probabilities"):
        grow(list(toy.problems(1)), recipe, engines, tmp_path / "dumb")
    assert not (tmp_path / "dumb" / "journal.db").exists()


@pytest.mark.parametrize("role", ["policy", "small"])
def test_engines_that_never_tell_are_known_by_their_names(role: str) -> None:
    """Before any is opened, as a comparison wants it."""
    by_entropy = Sphere(Sampling(steps=Entropy()))
    named = {"policy": "local:a", "small": "local:b"}
    check_kinds(by_entropy, named)
    check_kinds(Sphere(), named | {role: "openvino:c"})
    with pytest.raises(UserError, match=f"the engine for {role} does not tell"):
        check_kinds(by_entropy, named | {role: "openvino:c?weights=int8"})


def dumb(ask: Ask) -> Replies:
    """The toy world's replies, and nothing of how likely they were."""
    return tuple(replace(reply, logprob=None) for reply in toy.answer(ask))


def test_they_are_not_asked_for_where_nothing_depends_on_them(tmp_path: Path) -> None:
    recipe = Rft(Sampling(steps=BlankLine()), samples=2)
    done = grow(list(toy.problems(1)), recipe, {"policy": Function(dumb)}, tmp_path / "run")
    assert done.trees == 1


def test_an_engine_that_tells_them_is_taken(tmp_path: Path) -> None:
    recipe = Rft(Sampling(steps=Entropy()), samples=2)
    done = grow(list(toy.problems(1)), recipe, {"policy": Function(told)}, tmp_path / "run")
    assert (done.trees, done.failures) == (1, {})

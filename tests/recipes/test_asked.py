"""Under what examples are taught: every recipe's, whatever the question's prompt is."""

from dataclasses import replace

import pytest

from whorl.ask import Ask, Prompt, Replies
from whorl.drive import drive
from whorl.engines import toy
from whorl.engines.function import Function
from whorl.example import Pair
from whorl.recipe import Recipe
from whorl.recipes import (
    Dpo,
    Grpo,
    Marge,
    OnPolicyDistill,
    Process,
    Rft,
    StepDpo,
    TreeGrpo,
    TreePo,
    TreeRl,
    TreeRpo,
)
from whorl.rollout import Sampling
from whorl.search import Uct
from whorl.steps import BlankLine
from whorl.tree import Tree

SHORT = Sampling(temperature=1.0, steps=BlankLine(min_chars=0))
UCT = Uct(simulations=8, wrong=0.0)
WHOLE, STEPS = Grpo(sampling=SHORT, samples=8), StepDpo(sampling=SHORT, uct=UCT)
BEGUN = "Let us see. "


def grown(recipe: Recipe) -> list[Tree]:
    def answer(ask: Ask) -> Replies:
        return tuple(
            replace(reply, logprobs=(-0.5,) * 9, logprob=-0.1 * len(reply.text))
            for reply in toy.answer(ask)
        )

    searches = ((p.id, recipe.grow(p)) for p in toy.problems(8))
    done = list(drive(searches, dict.fromkeys(("policy", "teacher"), Function(answer))))
    return [found.result for found in done if found.result is not None]


@pytest.mark.parametrize(
    ("recipe", "grower"),
    [
        *((recipe, WHOLE) for recipe in (Rft(), Dpo(), Grpo(), TreePo(), TreeGrpo())),
        *((recipe, STEPS) for recipe in (Process(), StepDpo(sampling=SHORT), TreeRl(), TreeRpo())),
        *((recipe, recipe) for recipe in (Marge(SHORT), OnPolicyDistill(sampling=SHORT))),
    ],
    ids=lambda recipe: type(recipe).__name__,
)
def test_what_was_sampled_behind_a_prefix_is_taught_behind_it(
    recipe: Recipe, grower: Recipe
) -> None:
    taught = 0
    for tree in grown(grower):
        tree.asked = Prompt("", tree.problem.question, BEGUN)
        for one in recipe.harvest(tree).examples:
            assert one.prompt.user == tree.problem.question
            assert one.prompt.prefix.startswith(BEGUN)
            texts = [one.chosen, one.rejected] if isinstance(one, Pair) else [one.text]
            written = [BEGUN + tree.text(node) for node in range(len(tree.nodes))]
            whole = [one.prompt.prefix + text for text in texts]
            assert all(any(w.rstrip() == t.rstrip() for w in written) for t in whole)
            taught += 1
    assert taught

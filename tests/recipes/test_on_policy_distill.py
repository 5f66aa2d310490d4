"""On-policy distillation: what the teacher reads, and what is learned from that."""

from pathlib import Path

import pytest

from whorl.ask import Ask, Replies, Reply
from whorl.drive import drive
from whorl.engines import toy
from whorl.engines.function import Function
from whorl.errors import UserError
from whorl.example import Weighted
from whorl.problem import Problem
from whorl.recipe import heeds_verdicts
from whorl.recipes import OnPolicyDistill, Rft
from whorl.rollout import Sampling
from whorl.search import Uct
from whorl.steps import BlankLine
from whorl.tree import ROOT, Node, Tree

SAMPLING = Sampling(temperature=1.0, steps=BlankLine(min_chars=0))
SIBLINGS = OnPolicyDistill(SAMPLING, weigh="siblings", uct=Uct(simulations=6, parallel=2))
PROBLEM = Problem("p", "Add 3 and 4.", "7")


def grown(recipe: OnPolicyDistill, count: int) -> list[Tree]:
    searches = ((p.id, recipe.grow(p)) for p in toy.problems(count))
    done = drive(searches, dict.fromkeys(("policy", "teacher"), Function(toy.answer)))
    found = sorted(done, key=lambda f: f.key)
    assert [f.error for f in found] == [None] * count
    return [f.result for f in found if f.result is not None]


def test_the_teacher_reads_each_distinct_sample_and_its_tokens_are_paid() -> None:
    read: list[Ask] = []

    def answer(ask: Ask) -> Replies:
        if ask.role == "policy":
            assert (ask.temperature, ask.top_p, ask.given) == (1.0, 1.0, None)
            same = Reply("\\boxed{7}", tokens=3)
            return same, Reply("so 3", "length", tokens=2), same, Reply("who knows", tokens=3)
        read.append(ask)
        assert ask.given is not None
        told = (-0.5,) * (len(ask.given.text.split()) + ask.given.ended)
        return (Reply(tokens=len(told), logprob=sum(told), logprobs=told),)

    recipe = OnPolicyDistill(SAMPLING, samples=4)
    roles = dict.fromkeys(("policy", "teacher"), Function(answer))
    (done,) = drive([("p", recipe.grow(PROBLEM))], roles)
    assert done.result is not None, done.error
    given = [(ask.given.text, ask.given.ended) for ask in read if ask.given]
    assert given == [("\\boxed{7}", True), ("so 3", False), ("who knows", True)]
    assert {ask.role for ask in read} == {"teacher"} and not read[0].prompt.prefix
    assert dict(done.cost) == {"policy": 11, "teacher": 2 + 2 + 3}
    crop = recipe.harvest(done.result)
    assert [(e.text, e.weight, e.ended, e.taught) for e in crop.examples] == [  # type: ignore[union-attr]
        ("\\boxed{7}", 1.0, True, (-0.5, -0.5)),
        ("\\boxed{7}", 1.0, True, (-0.5, -0.5)),
        ("so 3", 1.0, False, (-0.5, -0.5)),
        ("who knows", 1.0, True, (-0.5,) * 3),
    ]
    assert recipe.tally(done.result) == {"right": 2, "wrong": 0, "no answer": 2, "tokens read": 7}


def test_an_open_verdict_does_not_tell_that_the_policy_ended_its_turn() -> None:
    tree = Tree(PROBLEM)
    tree.add(Node(ROOT, "So \\boxed{\\int x} as", pruned=True, mark="undecided", taught=(-0.5,)))
    tree.add(Node(ROOT, "I do not know", pruned=True, mark="no answer", taught=(-0.5,)))
    found = OnPolicyDistill(SAMPLING).harvest(tree).examples
    assert [one.ended for one in found] == [False, True]  # type: ignore[union-attr]


def test_steps_count_by_how_much_their_siblings_disagree() -> None:
    tree = Tree(PROBLEM)
    first = tree.add(Node(ROOT, "a\n\n", visits=4, total=3.0, taught=(-0.1,)))
    tree.add(Node(ROOT, "b\n\n", visits=4, total=1.0, taught=(-0.2,)))
    tree.add(Node(ROOT, "c\n\n"))
    end = Node(first, "\\boxed{7}", terminal=True, reward=1.0, visits=2, total=2.0)
    end.taught = (-0.3, -0.4)
    tree.add(end)
    tree.add(Node(first, "\\boxed{6}", terminal=True, reward=0.0, visits=2, taught=(-3.0, -4.0)))
    examples = [e for e in SIBLINGS.harvest(tree).examples if isinstance(e, Weighted)]
    # means 3/4 and 1/4: variance 1/16 of the most there is, 1/4; means 1 and 0: all of it
    assert [(e.text, e.weight, e.ended) for e in examples] == [
        ("a\n\n", 0.25, False),
        ("b\n\n", 0.25, False),
        ("\\boxed{7}", 1.0, True),
        ("\\boxed{6}", 1.0, True),
    ]
    assert [e.prompt.prefix for e in examples] == ["", "", "a\n\n", "a\n\n"]
    assert SIBLINGS.harvest(tree).dropped == {"not read": 1}
    for node in tree.nodes:
        node.total = float(node.visits)
    assert SIBLINGS.harvest(tree).dropped == {"nothing to teach": 1}, "no siblings disagree"


def test_over_the_toy_world_the_teacher_tells_right_steps_from_wrong_ones() -> None:
    told: dict[bool, set[float]] = {True: set(), False: set()}
    for tree in grown(SIBLINGS, 8):
        for one in SIBLINGS.harvest(tree).examples:
            assert isinstance(one, Weighted) and 0 < one.weight <= 1 and not one.ended
            *_, left, _, right, _, total = one.text.rstrip(".\n").split()
            told[int(left) + int(right) == int(total)].update(one.taught)
        assert Tree.from_json(tree.to_json()) == tree, "what the teacher said is kept"
    assert -0.1 in told[True] and told[False] == {-2.0}


def test_a_tree_that_no_teacher_has_read_is_refused() -> None:
    recipe = Rft(SAMPLING)
    (done,) = drive([("p", recipe.grow(PROBLEM))], {"policy": Function(toy.answer)})
    assert done.result is not None
    with pytest.raises(UserError, match="no teacher has read this tree"):
        OnPolicyDistill().harvest(done.result)


def test_settings() -> None:
    assert heeds_verdicts(SIBLINGS) and not heeds_verdicts(OnPolicyDistill())
    with pytest.raises(ValueError, match="must be 1: the divergence"):
        OnPolicyDistill(Sampling(temperature=0.7))
    with pytest.raises(ValueError, match="samples must be at least 1"):
        OnPolicyDistill(samples=0)


GOLDEN = Path(__file__).parent / "golden_on_policy_distill.jsonl"


def test_trees_are_those_of_a_known_good_run() -> None:
    # Written by `python tests/recipes/test_on_policy_distill.py`; a change here must be meant.
    assert _golden() == GOLDEN.read_text().splitlines()


def _golden() -> list[str]:
    recipes = (OnPolicyDistill(SAMPLING), SIBLINGS)
    return [tree.to_json() for recipe in recipes for tree in grown(recipe, 2)]


if __name__ == "__main__":
    GOLDEN.write_text("\n".join(_golden()) + "\n")

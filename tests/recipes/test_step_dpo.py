"""Step-level DPO, on trees built by hand and over the toy world."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.ask import Ask, Replies, Reply
from whorl.drive import drive
from whorl.engines import toy
from whorl.engines.function import Function
from whorl.errors import UserError
from whorl.example import Pair, Preference
from whorl.problem import Problem
from whorl.prompts import solve
from whorl.recipe import Recipe
from whorl.recipes.process import Process
from whorl.recipes.sigma import Sigma
from whorl.recipes.step_dpo import StepDpo, best_visited, prefixes_of_best
from whorl.rollout import Sampling
from whorl.search import Uct
from whorl.steps import BlankLine
from whorl.tree import ROOT, Node, Tree

SAMPLING = Sampling(top_p=0.95, steps=BlankLine(min_chars=0))
STEP_DPO = StepDpo(uct=replace(StepDpo().uct, simulations=8), sampling=SAMPLING)
PROBLEM = Problem("p", "Add 3, 4 and 5.", "12")


def grown(recipe: Recipe, *, problems: int = 10, seed: int = 0) -> list[Tree]:
    searches = ((p.id, recipe.grow(p)) for p in toy.problems(problems))
    engines = dict.fromkeys(("policy", "critic", "reviser"), Function(toy.answer))
    done = sorted(drive(searches, engines, seed=seed), key=lambda f: f.key)
    assert [f.error for f in done] == [None] * problems
    return [f.result for f in done if f.result is not None]


def pairs(tree: Tree) -> list[Pair]:
    return [e for e in STEP_DPO.harvest(tree).examples if isinstance(e, Pair)]


def planted(nodes: Sequence[Node], tip: int = ROOT) -> Tree:
    tree = Tree(PROBLEM, tip=tip)
    for node in nodes:
        tree.add(node)
    for node in reversed(tree.nodes[1:]):
        if node.parent == ROOT:
            tree.nodes[ROOT].visits += node.visits
            tree.nodes[ROOT].total += node.total
    return tree


def ended(parent: int, text: str, visits: int, reward: float) -> Node:
    total = reward * visits
    return Node(parent, text, terminal=True, reward=reward, visits=visits, total=total)


TWO_LEVELS = (
    Node(0, "a\n\n", visits=4, total=3),
    Node(0, "b\n\n", visits=4, total=1),
    Node(0, "cut off", visits=2, pruned=True),
    Node(0, "d\n\n"),
    ended(1, "\\boxed{12}\n", 3, 1.0),
    ended(1, "\\boxed{13}", 1, 0.0),
)


def test_the_best_sibling_is_preferred_to_the_worst_at_every_prefix() -> None:
    tree = planted(TWO_LEVELS, tip=5)
    tree.provenance["arm"] = "x"
    prompt = solve(PROBLEM.question)
    assert pairs(tree) == [
        Pair(prompt, "a\n\n", "b\n\n", False, False, "p#x/1>2"),
        Pair(replace(prompt, prefix="a\n\n"), "\\boxed{12}", "\\boxed{13}", True, True, "p#x/5>6"),
    ]
    assert STEP_DPO.tally(tree) == {"right": 1, "prefixes": 2, "pairs": 2}


def test_of_equally_good_siblings_the_more_visited_is_taken() -> None:
    tree = planted(
        [Node(0, f"{i}\n\n", visits=v, total=q) for i, (v, q) in
         enumerate([(1, 1), (3, 3), (1, 0), (2, 0)])] + [ended(2, "\\boxed{12}", 3, 1.0)]
    )  # fmt: skip
    assert [(pair.chosen, pair.rejected) for pair in pairs(tree)] == [("1\n\n", "3\n\n")]


def test_siblings_that_do_equally_well_give_no_pair() -> None:
    tree = planted([ended(0, "\\boxed{12}", 2, 1.0), ended(0, "so \\boxed{12}", 1, 1.0)])
    assert STEP_DPO.harvest(tree).dropped == {"no siblings that differ": 1}
    assert pairs(tree) == []


def test_the_best_path_is_right_if_there_is_a_right_one() -> None:
    tree = planted([Node(0, "a\n\n", visits=5, total=1), ended(0, "\\boxed{1}", 1, 0.0)])
    wrong = tree.add(ended(1, "\\boxed{11}", 4, 0.0))
    assert best_visited(tree) == wrong  # 0.1 along its path, the other none
    right = tree.add(ended(1, "\\boxed{12}", 1, 1.0))
    assert best_visited(tree) == right
    tree.add(Node(1, "x \\boxed{12}", terminal=True, reward=1.0))  # no simulation ended there
    assert best_visited(tree) == right
    assert best_visited(Tree(PROBLEM)) == ROOT


def test_a_tree_searched_again_and_again_is_walked_along_its_spine() -> None:
    tree = planted([*TWO_LEVELS[:2], Node(0, "b\n\n", author="spine", visits=3, total=2)])
    tree.tip = tree.add(ended(3, "\\boxed{13}", 1, 0.0))
    tree.add(ended(3, "\\boxed{12}", 2, 1.0))
    assert prefixes_of_best(tree) == [ROOT, 3]
    assert [(p.prompt.prefix, p.chosen, p.rejected) for p in pairs(tree)] == [
        ("", "a\n\n", "b\n\n"),
        ("b\n\n", "\\boxed{12}", "\\boxed{13}"),
    ]


RECIPES = (
    STEP_DPO,
    Process(sampling=SAMPLING),
    Sigma(uct=Uct(simulations=8), sampling=SAMPLING, temperatures=(0.7,)),
)


@settings(max_examples=24, deadline=None)
@given(recipe=st.sampled_from(RECIPES), seed=st.integers(0, 99))
def test_pairs_are_siblings_the_policy_sampled_after_their_prefix(
    recipe: Recipe, seed: int
) -> None:
    for tree in grown(recipe, problems=3, seed=seed):
        before = tree.to_json()
        for pair in pairs(tree):
            ends = pair.origin.rpartition("/")[2].split(">")
            chosen, rejected = (tree.nodes[int(end)] for end in ends)
            assert chosen.parent == rejected.parent
            assert tree.text(chosen.parent) == pair.prompt.prefix
            assert (chosen.text, rejected.text) == (pair.chosen, pair.rejected)
            assert (chosen.author, rejected.author) == ("policy", "policy")
            assert chosen.visits and rejected.visits and chosen.mean > rejected.mean
            assert pair.chosen_ended != pair.chosen.endswith("\n\n")
            assert pair.rejected_ended != pair.rejected.endswith("\n\n")
        prefixes = [pair.prompt.prefix for pair in pairs(tree)]
        assert len(set(prefixes)) == len(prefixes)
        assert STEP_DPO.harvest(Tree.from_json(before)) == STEP_DPO.harvest(tree)
        assert tree.to_json() == before  # harvest is pure


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_kind_of_search_gives_pairs_behind_a_prefix(recipe: Recipe) -> None:
    found = [pair for tree in grown(recipe) for pair in pairs(tree)]
    assert any(pair.prompt.prefix for pair in found)


def test_the_search_is_plain_mcts_with_outcomes_from_0_to_1() -> None:
    asked: list[Ask] = []

    def answer(ask: Ask) -> Replies:
        asked.append(ask)
        return tuple(Reply(f"\\boxed{{{10 + sample}}}") for sample in range(ask.n))

    (done,) = drive([("p", STEP_DPO.grow(PROBLEM))], {"policy": Function(answer)})
    assert done.result is not None
    assert [(ask.n, ask.temperature, ask.top_p) for ask in asked] == [(4, 0.7, 0.95)]
    assert done.result.nodes[done.result.tip].text == "\\boxed{12}"
    assert StepDpo().uct.constant == math.sqrt(2)
    assert (StepDpo().uct.wrong, StepDpo().uct.right) == (0.0, 1.0)
    (pair,) = pairs(done.result)
    assert (pair.chosen, pair.chosen_ended) == ("\\boxed{12}", True)


def test_trees_without_visits_are_refused_and_empty_ones_teach_nothing() -> None:
    with pytest.raises(UserError, match="visits"):
        STEP_DPO.harvest(planted([ended(0, "\\boxed{12}", 0, 1.0)]))
    assert STEP_DPO.harvest(Tree(PROBLEM)).examples == ()
    assert STEP_DPO.tally(Tree(PROBLEM)) == {"no solution": 1, "prefixes": 0, "pairs": 0}


def test_the_objective_is_preference() -> None:
    assert STEP_DPO.objective == Preference(beta=0.1)
    assert replace(STEP_DPO, beta=0.3).objective == Preference(beta=0.3)
    with pytest.raises(ValueError, match="beta"):
        StepDpo(beta=0.0)


GOLDEN = Path(__file__).parent / "golden_step_dpo.jsonl"


def test_trees_are_those_of_a_known_good_run() -> None:
    # Written by `python tests/recipes/test_step_dpo.py`; a change here must be meant.
    assert [tree.to_json() for tree in _golden()] == GOLDEN.read_text().splitlines()


def _golden() -> list[Tree]:
    return grown(replace(STEP_DPO, uct=replace(STEP_DPO.uct, simulations=4)), problems=2)


if __name__ == "__main__":
    GOLDEN.write_text("".join(tree.to_json() + "\n" for tree in _golden()))

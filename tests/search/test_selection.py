"""Selection: pUCT and DeepSearch's frontier, worked out by hand and over the toy world."""

import math
from dataclasses import replace

import pytest

from whorl.ask import Ask, Replies
from whorl.drive import drive
from whorl.engines import toy
from whorl.engines.function import Function
from whorl.errors import UserError
from whorl.problem import Problem
from whorl.recipes import Process, Sigma, StepDpo
from whorl.rollout import Sampling
from whorl.search import Frontier, Uct, puct, select
from whorl.settings import as_table
from whorl.steps import BlankLine
from whorl.tree import ROOT, Node, Tree

UCT = Uct(constant=1.0, wrong=0.0)
SHORT = Sampling(steps=BlankLine(min_chars=0))


def siblings() -> Tree:
    """Three first steps: likely and middling, unlikely and good, middling and unvisited."""
    tree = Tree(Problem("p", "?", "7"))
    tree.nodes[ROOT].visits, tree.nodes[ROOT].total = 9, 4.0
    tree.add(Node(ROOT, "a", visits=5, total=2.0, tokens=2, logprob=-0.4, copies=2))
    tree.add(Node(ROOT, "b", visits=4, total=2.0, tokens=1, logprob=-2.0))
    tree.add(Node(ROOT, "c", tokens=4, logprob=-4.0))
    return tree


def test_puct_is_worked_out_by_hand() -> None:
    tree = siblings()
    likely = [2 * math.exp(-0.2), math.exp(-2.0), math.exp(-1.0)]
    prior = [each / sum(likely) for each in likely]
    merit = [
        2 / 5 + prior[0] * 3 / 6,
        2 / 4 + prior[1] * 3 / 5,
        4 / 9 + prior[2] * 3 / 1,  # unvisited: its parent's mean
    ]
    assert merit.index(max(merit)) == 2
    assert puct(tree, ROOT, UCT, {}) == 3
    assert puct(tree, ROOT, replace(UCT, constant=0.01), {}) == 2
    virtual = {3: 5}  # simulations under way count as wrong
    merit[2] = 0 + prior[2] * 3 / 6
    assert puct(tree, ROOT, UCT, virtual) == 1 + merit.index(max(merit))
    tree.nodes[3].pruned = True
    assert puct(tree, ROOT, UCT, {}) != 3
    for node in tree.nodes[1:]:
        node.pruned = True
    assert puct(tree, ROOT, UCT, {}) is None


def test_puct_needs_log_probabilities() -> None:
    tree = siblings()
    tree.nodes[2].logprob = None
    with pytest.raises(UserError, match="tells no log-probabilities"):
        puct(tree, ROOT, UCT, {})


def test_the_frontier_is_the_best_step_that_nothing_follows() -> None:
    tree = siblings()
    deep = tree.add(Node(1, "d", tokens=1, logprob=-9.0))
    other = tree.add(Node(2, "e", tokens=1, logprob=-0.1))
    uct = replace(UCT, depth=16)

    def merit(parent: float, depth: int) -> float:
        return 0.4 * math.tanh(parent) + 0.01 * math.sqrt(depth / 16)

    merits = {deep: merit(0.4, 2), other: merit(0.5, 2), 3: merit(4 / 9, 1)}
    assert max(merits, key=merits.__getitem__) == other
    assert Frontier()(tree, ROOT, uct, {}) == 2, "the way to it"
    assert Frontier()(tree, 2, uct, {}) == other
    assert Frontier(surprise=1.0)(tree, ROOT, uct, {}) == 1, "what is unlikely counts"
    assert Frontier()(tree, ROOT, uct, {other: 1}) == 3, "another simulation is there"
    end = tree.add(Node(ROOT, "f", terminal=True, reward=0.0))
    right = tree.add(Node(ROOT, "g", terminal=True, reward=1.0))
    assert Frontier()(tree, ROOT, uct, {}) == right, "an end is backed up first, a right one"
    tree.nodes[right].visits = tree.nodes[end].visits = 1
    assert Frontier()(tree, ROOT, uct, {}) == 2
    for step in (deep, other, 3):
        tree.nodes[step].pruned = True
    assert Frontier()(tree, ROOT, uct, {}) == select(tree, ROOT, uct, {})


def likely(ask: Ask) -> Replies:
    return tuple(replace(reply, logprob=-len(reply.text) / 20) for reply in toy.answer(ask))


@pytest.mark.parametrize("rule", ["puct", "frontier"])
def test_a_search_by_either_rule_ends_and_its_sums_are_whole(rule: str) -> None:
    uct = Uct(simulations=8, selection=rule)  # type: ignore[arg-type]
    recipe = StepDpo(uct=uct, sampling=SHORT)
    searches = ((p.id, recipe.grow(p)) for p in toy.problems(6))
    solved = 0
    for done in drive(searches, {"policy": Function(likely)}):
        assert done.result is not None, done.error
        tree = done.result
        for node in tree.nodes:
            below = sum(tree.nodes[child].visits for child in node.children)
            assert node.visits == below or node.terminal
        solved += tree.nodes[tree.tip].reward == 1.0
    assert solved > 3


def test_settings() -> None:
    assert "selection" not in as_table(Sigma())["uct"], "folders of before are as they were"
    assert as_table(Sigma(Uct(selection="puct")))["uct"]["selection"] == "puct"
    with pytest.raises(ValueError, match="a rule of its own"):
        Process(uct=Uct(selection="puct"))

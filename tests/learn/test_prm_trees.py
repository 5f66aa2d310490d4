"""What the benchmark of process reward models takes for completions of a step."""

from collections.abc import Callable
from types import ModuleType

import pytest

from whorl.problem import Problem
from whorl.tree import ROOT, Node, Tree


@pytest.fixture
def script(load_benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return load_benchmark("prm_trees")


def rolled(tree: Tree, step: int, reward: float | None, mark: str = "", copies: int = 1) -> None:
    first = tree.add(Node(step, "on", author="rollout"))
    tree.add(Node(first, "end", author="rollout", reward=reward, mark=mark, copies=copies))


def test_completions_are_rollouts_and_not_what_they_chose(script: ModuleType) -> None:
    tree = Tree(Problem("a", "?", "1"))
    step = tree.add(Node(ROOT, "step", author="policy"))
    rolled(tree, step, 1.0)
    rolled(tree, step, 0.0, copies=2)
    rolled(tree, step, None, "undecided")
    rolled(tree, step, None, "no answer")
    assert script.completions(tree, step) == [1.0, 0.0, 0.0, 0.0]
    later = tree.add(Node(step, "next", author="policy"))
    rolled(tree, later, 1.0)
    assert script.completions(tree, step)[4:] == [1.0], "a simulation goes on by a step first"
    assert not script.completions(tree, tree.nodes[step].children[0]), "no candidate"
    tree.nodes[tree.add(Node(step, "third", author="policy"))].mark = "not kept"
    assert len(script.completions(tree, step)) == 4, "SPHERE chose the next step by its rollouts"


def test_no_chooser_is_measured_by_what_it_saw(script: ModuleType) -> None:
    place = [script.Candidate(0.9, 0.0, 1.0), script.Candidate(0.2, 1.0, 0.0)]
    found = script.report([[place], [place]])
    assert found["prm"] == [1.0, 1.0, 1.0] and found["one_completion"] == [0.0, 0.0, 0.0]
    assert found["by_lot"] == [0.5, 0.5, 0.5] and found["prm_minus_lot"] == [0.5, 0.5, 0.5]
    assert found["auc"] == [1.0, 1.0, 1.0] and (found["problems"], found["pairs"]) == (2, 2)

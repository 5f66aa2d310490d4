import sys
from collections.abc import Callable, Iterator, Sequence

from hypothesis import given
from hypothesis import strategies as st

from whorl.problem import Problem
from whorl.report.trees import DEPTH, NODES, ShownNode, view
from whorl.tree import ROOT, Node, Tree

Make = Callable[..., Tree]


def walk(steps: Sequence[ShownNode]) -> Iterator[ShownNode]:
    for step in steps:
        yield step
        yield from walk(step.children)


def test_everything_of_a_small_tree_is_shown(refine: Make) -> None:
    tree = refine(0)
    shown = view(tree)
    steps = list(walk(shown.steps))
    assert len(steps) == shown.shown == shown.nodes == len(tree.nodes) - 1 > 100
    assert shown.hidden == 0 and not any(step.hidden for step in steps)
    assert sorted(s.text.text for s in steps) == sorted(n.text.strip() for n in tree.nodes[1:])
    assert sum(step.tip for step in steps) == 1
    assert sum(step.chosen for step in steps) == len(tree.path(tree.tip))
    assert (shown.before, shown.after) == ("wrong", "right")
    assert shown.revised and shown.accepted and len(shown.comparisons) == 4
    assert shown.tokens == sum(tree.cost.values())
    assert sum(step.outcome == "right" for step in steps) == shown.right
    assert shown.tags == ("synthetic", "level 1", "sigma", "t0.7")


def test_refused_revision_is_not_called_accepted(refine: Make) -> None:
    shown = view(refine(0, accept=False))
    assert shown.revised and not shown.accepted
    assert (shown.before, shown.after) == ("wrong", "wrong")


@given(st.lists(st.integers(0, 10**6), max_size=600), st.integers(0, 10**6), st.booleans())
def test_hidden_nodes_are_counted_and_paths_are_not_hidden(
    parents: list[int], tip: int, narrow: bool
) -> None:
    tree = Tree(Problem("p", "q", "1"))
    for i, parent in enumerate(parents):
        near = i - parent % 3 if narrow else parent % (i + 1)
        tree.add(Node(max(near, 0), f"{i}", visits=parent % 7))
    tree.tip = tip % len(tree.nodes)
    shown = view(tree)
    steps = list(walk(shown.steps))
    assert len(steps) == shown.shown <= NODES
    assert len(steps) + shown.hidden + sum(step.hidden for step in steps) == len(parents)
    chosen = tree.path(tree.tip)
    if len(chosen) <= DEPTH:
        assert [step.text.text for step in steps if step.chosen] == [
            tree.nodes[i].text for i in chosen
        ]


def test_deep_tree_does_not_exhaust_the_stack() -> None:
    tree = Tree(Problem("p", "q", "1"))
    for i in range(3 * sys.getrecursionlimit()):
        tree.add(Node(i, str(i), visits=1))
    tree.tip = len(tree.nodes) - 1
    shown = view(tree)
    assert shown.shown == DEPTH
    assert shown.hidden + sum(step.hidden for step in walk(shown.steps)) + shown.shown == tree.tip


def test_revisions_outrank_what_was_visited_more_often() -> None:
    tree = Tree(Problem("p", "q", "1"))
    for _ in range(2 * NODES):
        tree.add(Node(ROOT, "often", visits=9))
    tree.add(Node(ROOT, "rewritten", author="reviser"))
    tree.add(Node(ROOT, "annotated", note="why"))
    texts = {step.text.text for step in walk(view(tree).steps)}
    assert texts == {"often", "rewritten", "annotated"}

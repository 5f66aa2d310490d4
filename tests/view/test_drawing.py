"""The drawing of a tree: every node has a place of its own, beside its parent."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from tests.view.folder import wide

from whorl.problem import Problem
from whorl.tree import NO_PARENT, Node, Tree
from whorl.view.drawing import ACROSS, DOWN, drawn, laid_out


@given(st.lists(st.integers(0, 10_000), max_size=60))
def test_no_two_nodes_share_a_place(parents: list[int]) -> None:
    tree = Tree(Problem("p", "?", "1"))
    for number in parents:
        tree.add(Node(number % len(tree.nodes)))
    places = laid_out(tree)
    assert len(set(places)) == len(tree.nodes)
    for node, place in zip(tree.nodes, places, strict=True):
        if node.parent != NO_PARENT:
            assert place.x - places[node.parent].x == ACROSS
        ys = [places[child].y for child in node.children]
        assert ys == sorted(ys)
        if ys:
            assert ys[0] <= place.y <= ys[-1]
    leaves = sorted(p.y for p, n in zip(places, tree.nodes, strict=True) if not n.children)
    assert all(b - a == DOWN for a, b in pairwise(leaves))


def test_a_drawing_names_every_node() -> None:
    tree = wide(300)
    made = drawn(tree, 5, "#n{}".format)
    assert made.count('class="node') == len(tree.nodes)
    assert made.count("aria-current") == 1
    assert made.count('href="#n299"') == 1

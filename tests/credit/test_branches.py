"""Advantages of trees, worked out by hand and by their identities."""

from fractions import Fraction
from itertools import pairwise
from math import sqrt
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.credit.branches import (
    End,
    ancestor_advantages,
    below,
    ends_of,
    merged,
    relative_advantages,
    step_advantages,
    taught_ends,
    taught_steps,
    tell_apart,
)
from whorl.problem import Problem
from whorl.tree import ROOT, Node, Tree


def fork() -> Tree:
    """Two first steps; below the first a right end, twice, and a wrong one, below the second a
    wrong end and one that was cut off."""
    tree = Tree(Problem("p", "Add 3 and 4.", "7"))
    first = tree.add(Node(ROOT, "a\n\n"))
    second = tree.add(Node(ROOT, "b\n\n"))
    tree.add(Node(first, "\\boxed{7}", terminal=True, reward=1.0, copies=2))
    tree.add(Node(first, "\\boxed{8}", terminal=True, reward=0.0))
    tree.add(Node(second, "\\boxed{9}", terminal=True, reward=0.0))
    tree.add(Node(second, "and so", pruned=True, mark="cut off"))
    return tree


def test_by_hand() -> None:
    tree = fork()
    ends = ends_of(tree)
    assert [(e.node, e.path, e.reward, e.copies) for e in ends] == [
        (3, (1, 3), 1.0, 2),
        (4, (1, 4), 0.0, 1),
        (5, (2, 5), 0.0, 1),
        (6, (2, 6), 0.0, 1),
    ]
    known = below(ends)
    assert (known[ROOT].value, known[ROOT].count) == (Fraction(2, 5), 5)
    assert (known[1].value, known[1].count, known[2].value) == (pytest.approx(2 / 3), 3, 0.0)
    # TreeRL: V - V(root) + V - V(parent), over the root of the ends
    steps = step_advantages(tree, ends)
    assert steps[1] == pytest.approx((2 * 2 / 3 - 0.4 - 0.4) / sqrt(3))
    assert steps[2] == pytest.approx((0 - 0.4 - 0.4) / sqrt(2))
    assert steps[3] == pytest.approx((2 - 0.4 - 2 / 3) / sqrt(2))
    assert steps[4] == pytest.approx(0 - 0.4 - 2 / 3)
    assert steps[5] == steps[6] == pytest.approx(-0.4)
    # Tree-GRPO: within what begins alike, rewards 1, 1, 0; among all 1, 1, 0, 0, 0; unbiased
    inner, outer = sqrt(1 / 3), sqrt(0.3)
    right = (1 - 2 / 3) / inner + (1 - 0.4) / outer
    wrong = (0 - 2 / 3) / inner + (0 - 0.4) / outer
    other = (0 - 0.4) / outer  # its tree is all wrong
    assert relative_advantages(ends) == pytest.approx([right, wrong, other, other], abs=1e-5)
    # TreePO: the root, the first step, and the end that was sampled twice
    assert ancestor_advantages(ends) == pytest.approx(
        [
            ((1 - 0.4) + (1 - 2 / 3) + 0) / 3,
            ((0 - 0.4) + (0 - 2 / 3)) / 2,
            ((0 - 0.4) + 0) / 2,
            ((0 - 0.4) + 0) / 2,
        ]
    )


def test_one_end_alone_has_its_reward_and_one_kind_tells_nothing() -> None:
    one = [End(1, (1,), 1.0, 1)]
    assert relative_advantages(one) == pytest.approx([2.0], abs=1e-4)
    assert not tell_apart(one) and not tell_apart([]) and tell_apart(ends_of(fork()))


def test_examples_of_ends_and_of_steps() -> None:
    tree = fork()
    ends = ends_of(tree)
    whole = list(taught_ends(tree, ends, [0.5, -0.5, 0.0, -1.0]))
    assert [(e.text, e.weight, e.ended) for e in whole] == [
        ("a\n\n\\boxed{7}", 0.5, True),
        ("a\n\n\\boxed{7}", 0.5, True),
        ("a\n\n\\boxed{8}", -0.5, True),
        ("b\n\nand so", -1.0, False),
    ]
    steps = list(taught_steps(tree, {1: 0.25, 3: 1.0, 5: 0.0, 6: -1.0}))
    assert [(e.prompt.prefix, e.text, e.weight, e.ended) for e in steps] == [
        ("", "a\n\n", 0.25, False),
        ("a\n\n", "\\boxed{7}", 1.0, True),
        ("b\n\n", "and so", -1.0, False),
    ]


def test_blanks_and_the_end_of_a_turn_are_learned_where_they_are_steps() -> None:
    tree = fork()
    blank = tree.add(Node(3, "\n\n"))
    tree.add(Node(blank, "", terminal=True, reward=1.0))
    tree.add(Node(blank, " ", pruned=True, mark="empty"))
    found = [(e.text, e.ended) for e in taught_steps(tree, dict.fromkeys((7, 8, 9), 1.0))]
    assert found == [("\n\n", False), ("", True)]


def test_equal_samples_are_merged_and_none_is_lost() -> None:
    tree = fork()
    found = list(taught_ends(tree, ends_of(tree), [0.5, -0.5, 0.25, -1.0]))
    once = merged(found)
    assert [(e.text, e.weight) for e in once] == [
        ("a\n\n\\boxed{7}", 1.0),
        ("a\n\n\\boxed{8}", -0.5),
        ("b\n\n\\boxed{9}", 0.25),
        ("b\n\nand so", -1.0),
    ]
    assert sum(e.weight for e in once) == sum(e.weight for e in found)


def test_what_a_helper_wrote_or_nobody_can_judge_is_no_end() -> None:
    tree = Tree(Problem("p", "?", "7"))
    tree.add(Node(ROOT, "\\boxed{7}", author="reviser", terminal=True, reward=1.0))
    tree.add(Node(ROOT, "\\boxed{x}", pruned=True, mark="undecided"))
    tree.add(Node(ROOT, "", pruned=True, mark="empty"))
    tree.add(Node(ROOT, "?", pruned=True, mark="no answer", author="rollout"))
    assert [(end.node, end.reward) for end in ends_of(tree)] == [(4, 0.0)]


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    rng = Random(draw(st.integers(0, 2**32)))
    tree = Tree(Problem("p", "?", "7"))
    inner = [ROOT]
    for _ in range(draw(st.integers(1, 12))):
        at, end = rng.choice(inner), rng.random() < 0.6
        copies = rng.randint(1, 3) if end else 1
        reward = float(rng.random() < 0.5) if end else None
        node = Node(at, f"{rng.random()}", terminal=end, reward=reward, copies=copies)
        index = tree.add(node)
        if not end:
            inner.append(index)
    for index in list(inner):
        if not tree.nodes[index].children:
            tree.add(Node(index, "x", terminal=True, reward=float(rng.random() < 0.5)))
    return tree


@given(trees())
def test_identities(tree: Tree) -> None:
    """Advantages against a mean add up to nothing; a parent's value is its children's, by their
    ends; what a path's steps add is its reward less the root's value."""
    ends = ends_of(tree)
    known = below(ends)
    total = sum(end.copies * (end.reward - known[ROOT].value) for end in ends)
    assert total == pytest.approx(0)
    for index, own in known.items():
        children = [known[c] for c in tree.nodes[index].children if c in known]
        if children:
            assert own.count == sum(c.count for c in children)
            summed = sum(c.value * c.count for c in children)
            assert own.value == pytest.approx(summed / own.count)
    for end in ends:
        path = (ROOT, *end.path)
        added = sum(known[b].value - known[a].value for a, b in pairwise(path))
        assert added == pytest.approx(end.reward - known[ROOT].value)
    scaled = relative_advantages(ends)
    if len({end.path[0] for end in ends}) == 1 and sum(e.copies for e in ends) > 1:
        of_all = sum(a * end.copies for a, end in zip(scaled, ends, strict=True))
        assert of_all == pytest.approx(0, abs=1e-6), "one tree is all there is"

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.problem import Problem
from whorl.prompts.critique import Critique, write_critique, write_critiques
from whorl.report.critiques import STEP, compare_paths, read_note, revised_path, searched_path
from whorl.tree import ROOT, Node, Tree

Make = Callable[..., Tree]
EDIT = Critique(expected="7", errors=("a", "b"), suggestion="add", verdict="edit")


def two_steps(old: str, new: str, *, note: str = "") -> Tree:
    tree = Tree(Problem("p", "q", "1"))
    tree.add(Node(ROOT, old, note=note, terminal=True, reward=0.0, visits=1))
    tree.tip = tree.add(Node(ROOT, new, author="reviser", terminal=True, reward=1.0))
    return tree


@pytest.mark.parametrize("whole_path", [False, True])
@pytest.mark.parametrize("accept", [False, True])
def test_paths_before_and_after(refine: Make, whole_path: bool, accept: bool) -> None:
    tree = refine(1, whole_path=whole_path, accept=accept)
    before, after = searched_path(tree), revised_path(tree)
    assert {tree.nodes[i].author for i in before} == {"policy"}
    assert any(tree.nodes[i].author == "reviser" for i in after)
    assert tree.nodes[before[-1]].terminal and tree.nodes[after[-1]].terminal
    assert (tree.path(tree.tip) == after) is accept
    assert tree.nodes[before[-1]].note


def test_each_step_gets_its_own_critique_in_both_modes(refine: Make) -> None:
    shown = []
    for whole_path in (False, True):
        tree = refine(1, whole_path=whole_path)
        steps = compare_paths(tree, searched_path(tree), revised_path(tree))
        assert [step.number for step in steps] == [1, 2, 3, 4]
        shown.append([step.note for step in steps])
        assert dict(shown[-1][1].remarks)["Expected"] == "the running total after step 2"
    assert shown[0] == shown[1]


def test_a_prune_note_is_no_critique(search: Make) -> None:
    tree = search(5)
    pruned = next(i for i in tree.leaves() if i != tree.tip)
    tree.nodes[pruned].note = "dead end"
    assert searched_path(tree) == tree.path(tree.tip)


def test_tree_that_was_not_refined(search: Make) -> None:
    tree = search(5)
    assert searched_path(tree) == tree.path(tree.tip)
    assert revised_path(tree) == []
    tree.tip = ROOT
    assert tree.nodes[searched_path(tree)[-1]].mean == max(
        tree.nodes[i].mean for i in tree.leaves()
    )
    empty = Tree(Problem("p", "q", "1"))
    assert searched_path(empty) == revised_path(empty) == []
    assert compare_paths(empty, [], []) == ()


words = st.text(st.sampled_from("ab1 +=\n<&"), max_size=60)


@given(words, words)
def test_pieces_join_to_the_step_and_unmarked_ones_agree(old: str, new: str) -> None:
    (step,) = compare_paths(two_steps(old, new), [1], [2])
    assert step.before is not None and step.after is not None
    assert "".join(p.text for p in step.before.pieces) == old.strip()
    assert "".join(p.text for p in step.after.pieces) == new.strip()
    assert step.same == (old.strip() == new.strip())
    if old.strip() and new.strip():
        same = ["".join(p.text for p in side.pieces if not p.changed)
                for side in (step.before, step.after)]  # fmt: skip
        assert same[0] == same[1]
        assert step.same == (not any(p.changed for p in step.before.pieces + step.after.pieces))


def test_paths_of_unequal_length_are_told_apart() -> None:
    tree = Tree(Problem("p", "q", "1"))
    first = tree.add(Node(ROOT, "one"))
    tree.add(Node(first, "two", terminal=True, note=write_critiques((EDIT, EDIT))))
    tree.tip = tree.add(Node(ROOT, "both", author="reviser", terminal=True))
    one, two = compare_paths(tree, searched_path(tree), revised_path(tree))
    assert one.after is not None and two.after is None
    assert two.before is not None and two.note is not None


def test_note_is_read_field_by_field() -> None:
    note = read_note(write_critique(EDIT))
    assert note is not None and note.left_out == 0
    assert note.remarks == (
        ("Expected", "7"),
        ("Errors", "a; b"),
        ("None", "missing, avoid"),
        ("Suggestion", "add"),
        ("Verdict", "edit"),
    )
    prose = read_note("It is fine.\nReally: fine.")
    assert prose is not None and prose.remarks == (("", "It is fine.\nReally: fine."),)
    assert read_note("  \n ") is None


@given(st.text())
def test_any_note_can_be_read(text: str) -> None:
    read_note(text)
    compare_paths(two_steps("a", "b", note=text), [1], [2])


def test_hostile_texts_are_compared_quickly() -> None:
    started = time.process_time()
    for old, new in (("a " * 10**6, "b a " * 10**6), ("+" * 10**6, "+-" * 10**6)):
        tree = two_steps(old, new, note="*" * 10**6 + "\n" + " \n" * 10**5 + "Verdict: edit")
        (step,) = compare_paths(tree, searched_path(tree), revised_path(tree))
        assert step.before is not None and step.after is not None
        assert step.before.left_out == len(old.strip()) - STEP
    assert time.process_time() - started < 5

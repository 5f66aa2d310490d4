"""The tree and its one line of JSON."""

import json
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.problem import Problem
from whorl.tree import NO_PARENT, ROOT, Mark, Node, Tree

HERE = Path(__file__).parent

texts = st.text(st.characters(exclude_categories=[]), max_size=12)  # lone surrogates, NUL and all
numbers = st.floats(allow_nan=False)


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    tree = Tree(
        Problem(*(draw(texts) for _ in range(6))),
        cost=draw(st.dictionaries(texts, st.integers(0), max_size=3)),
        provenance=draw(st.dictionaries(texts, texts, max_size=3)),
        cut_short=draw(texts),
    )
    for _ in range(draw(st.integers(0, 12))):
        tree.add(
            Node(
                draw(st.integers(0, len(tree.nodes) - 1)),
                draw(texts),
                author=draw(st.sampled_from(["policy", "reviser", ""])),
                note=draw(texts),
                mark=draw(st.sampled_from(get_args(Mark))),
                terminal=draw(st.booleans()),
                pruned=draw(st.booleans()),
                reward=draw(st.none() | numbers),
                value=draw(st.none() | numbers),
                visits=draw(st.integers(0, 99)),
                total=draw(st.floats(0, 99)),
                copies=draw(st.integers(1, 3)),
                tokens=draw(st.integers(0, 99)),
                logprob=draw(st.none() | numbers),
            )
        )
    tree.tip = draw(st.integers(0, len(tree.nodes) - 1))
    return tree


@given(trees())
def test_the_round_trip_through_json_is_the_identity(tree: Tree) -> None:
    line = tree.to_json()
    assert line.isascii() and "\n" not in line
    again = Tree.from_json(line)
    assert again == tree
    assert repr(again) == repr(tree)  # 1 and 1.0, 0.0 and -0.0 are told apart
    assert again.to_json() == line


@given(trees())
def test_every_path_leads_to_the_root(tree: Tree) -> None:
    for index in range(len(tree.nodes)):
        path = tree.path(index)
        assert tree.depth(index) == len(path)
        assert tree.text(index) == "".join(tree.nodes[i].text for i in path)
        parents = [ROOT, *path[:-1]]
        for parent, child in zip(parents, path, strict=False):
            assert tree.nodes[child].parent == parent
            assert child in tree.nodes[parent].children
            assert parent < child
        assert path[-1:] == ([index] if index else [])


@given(trees())
def test_every_node_but_the_root_is_somebodys_child_once(tree: Tree) -> None:
    children = [child for node in tree.nodes for child in node.children]
    assert sorted(children) == list(range(1, len(tree.nodes)))
    assert list(tree.leaves()) == [i for i, n in enumerate(tree.nodes) if n.terminal]
    assert tree.nodes[ROOT].parent == NO_PARENT


def test_a_node_without_simulations_has_mean_zero() -> None:
    assert Node(ROOT).mean == 0.0
    assert Node(ROOT, visits=4, total=3.0).mean == 0.75


def test_nodes_leave_out_what_holds_its_default() -> None:
    tree = Tree(Problem("p", "q", "a"))
    tree.add(Node(ROOT, "a step"))
    assert json.loads(tree.to_json())["nodes"][1] == {"parent": 0, "text": "a step"}


GOOD = '{"problem":{"id":"p","question":"q","answer":"1"},"tip":0,"cost":{},"provenance":{},'


@pytest.mark.parametrize(
    "line",
    [
        "",
        "not json",
        "null",
        "[]",
        "3",
        "{}",
        GOOD[:40],
        GOOD + '"nodes":[{"parent":-1},{"parent":1}]}',  # its own parent
        GOOD + '"nodes":[{"parent":-1},{"parent":-1}]}',  # a second root
        GOOD + '"nodes":[{"parent":-1},{"parent":2},{"parent":0}]}',  # a parent above its child
        GOOD + '"nodes":[{"parent":-1},{}]}',
        GOOD + '"nodes":[{"parent":-1,"colour":"red"}]}',
        GOOD + '"nodes":null}',
        GOOD + '"nodes":[]}',
        GOOD.replace('"tip":0', '"tip":1') + '"nodes":[{"parent":-1}]}',
        GOOD + '"nodes":[{"parent":-1},{"parent":"0"}]}',
        GOOD.replace('"id"', '"name"') + '"nodes":[{"parent":-1}]}',
    ],
)
def test_what_is_not_a_tree_is_a_value_error(line: str) -> None:
    with pytest.raises(ValueError):
        Tree.from_json(line)


def test_a_well_formed_line_is_read() -> None:
    tree = Tree.from_json(GOOD + '"nodes":[{"parent":-1},{"parent":0},{"parent":1}]}')
    assert tree.path(2) == [1, 2]


def test_trees_of_whorl_before_it_had_marks_are_read() -> None:
    golden = HERE / "recipes"
    now = [
        line
        for name in ("sigma", "process", "marge", "sphere")
        for line in (golden / f"golden_{name}.jsonl").read_text().splitlines()
    ]
    before = (HERE / "trees_without_marks.jsonl").read_text().splitlines()
    assert "a search starts here" in "".join(before)
    for line, today in zip(before, now, strict=True):
        same = json.loads(today)
        for node in same["nodes"]:  # how a critique was read, no note ever said
            if node.get("mark", "").startswith("critique"):
                del node["mark"]
        assert json.loads(Tree.from_json(line).to_json()) == same


@pytest.mark.parametrize(("field", "word"), [("author", "a stranger"), ("mark", "so so")])
def test_words_that_trees_do_not_know_are_refused(field: str, word: str) -> None:
    tree = Tree(Problem("p", "q", "1"))
    tree.add(Node(ROOT, "x"))
    setattr(tree.nodes[1], field, word)
    with pytest.raises(ValueError, match=f"node 1 has .*{word}"):
        Tree.from_json(tree.to_json())


def test_an_old_note_that_a_reviser_was_cut_off_is_one_mark() -> None:
    tree = Tree(Problem("p", "q", "1"))
    note = "revised: cut off at the token limit"
    tree.add(Node(ROOT, "x", author="reviser", pruned=True, note=note))
    tree.add(Node(ROOT, "y", note="a search starts here, says the critic"))
    read = Tree.from_json(tree.to_json())
    assert [(n.mark, n.note) for n in read.nodes[1:]] == [
        ("cut off", ""),
        ("", "a search starts here, says the critic"),
    ]

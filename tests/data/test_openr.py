"""Trees of OpenR in every shape."""

import json
from pathlib import Path

import pytest

from whorl.data.openr import read_openr
from whorl.errors import UserError


def node(text: str, value: float, *children: dict) -> dict:
    return {"text": text, "mc_value": value, "children": list(children)}


ROW = {
    "question": "What is 2 + 2?",
    "answer": "4",
    "tree": node(
        "What is 2 + 2?",
        0.625,
        node("Two and two.", 0.75, node(r"It is \boxed{4}.", 1.0), node(r"\boxed{5}", 0.0)),
        node("So it is", 0.0),
    ),
}


def written(folder: Path, *rows: object) -> Path:
    path = folder / "openr.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_values_become_visits_and_outcomes(tmp_path: Path) -> None:
    (tree,) = read_openr(written(tmp_path, ROW))
    assert (tree.problem.id, tree.problem.answer) == ("openr:1", "4")
    root, inner, cut, right, wrong = tree.nodes
    assert [(n.visits, n.mean) for n in (root, inner)] == [(8, 0.625), (8, 0.75)]
    assert (right.visits, right.total, wrong.total) == (1, 1.0, 0.0)
    assert tree.text(3) == "Two and two.\n\nIt is \\boxed{4}."
    assert right.terminal and wrong.terminal and right.reward is None
    assert not cut.terminal and cut.pruned and cut.mark == "no answer"


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({**ROW, "tree": None}, "a node needs text, mc_value and children"),
        ({**ROW, "tree": node("?", 1.5)}, r"mc_value should be in \[0, 1\], not 1.5"),
        ({**ROW, "tree": node("?", 1.0, {"text": "x"})}, "a node needs"),
        ({**ROW, "question": ""}, "no question"),
        ({**ROW, "answer": "\\frac{1"}, "the answer cannot be parsed"),
    ],
)
def test_what_is_no_tree_is_refused(tmp_path: Path, row: dict, complaint: str) -> None:
    with pytest.raises(UserError, match=f"line 2: {complaint}"):
        list(read_openr(written(tmp_path, ROW, row)))


def test_a_second_tree_of_a_problem_is_refused_by_its_line(tmp_path: Path) -> None:
    rows = [{**ROW, "problem_id": name} for name in ("a", "b", "a")]
    with pytest.raises(UserError, match="line 3: line 1 holds a tree of problem 'a' too"):
        list(read_openr(written(tmp_path, *rows)))
    assert len(list(read_openr(written(tmp_path, ROW, ROW)))) == 2, "named by their lines"

"""Trees of OpenR taken over: a small one, and the recorded ones where they are."""

import json
from pathlib import Path

import pytest

from whorl.data.examples import read_examples
from whorl.data.forest import read_trees
from whorl.tree import ROOT

DATA = Path(__file__).parents[3] / "shared" / "data" / "recorded" / "openr_mcts_trees.jsonl"


def node(text: str, value: float, *children: dict) -> dict:
    return {"text": text, "mc_value": value, "children": list(children)}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "openr.jsonl"
    steps = node("Two and two.", 0.5, node(r"It is \boxed{4}.", 1.0), node(r"\boxed{5}", 0.0))
    tree = node("What is 2 + 2?", 0.5, steps)
    path.write_text(json.dumps({"question": tree["text"], "answer": "4", "tree": tree}))
    return path


def test_adopted_trees_are_judged_shown_and_harvested(whorl, small: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = ("adopt", small, "--run", run)
    done = whorl(*command)
    assert done.exit_code == 0 and f"wrote {run / 'trees.jsonl'}: 1 trees" in done.stderr
    before = (run / "trees.jsonl").read_bytes()
    assert whorl(*command).exit_code == 0 and (run / "trees.jsonl").read_bytes() == before
    (tree,) = read_trees(run / "trees.jsonl")
    assert [n.reward for n in tree.nodes] == [None, None, 1.0, 0.0]
    assert "1/2 solutions right" in whorl("show", run).stdout
    assert "1/2 solutions right" in whorl("show", run / "trees.jsonl").stdout
    assert whorl("harvest", run).exit_code == 0
    (example,) = read_examples(run / "examples.jsonl")
    assert example.text == tree.text(2)


def test_two_trees_of_a_problem_are_refused_before_there_is_a_folder(
    whorl, small: Path, tmp_path: Path
) -> None:
    line = json.dumps(json.loads(small.read_text()) | {"problem_id": "p1"})
    small.write_text(f"{line}\n{line}\n")
    for _ in range(2):
        done = whorl("adopt", small, "--run", tmp_path / "run")
        assert done.exit_code == 2
        assert f"{small}, line 2: line 1 holds a tree of problem 'p1' too" in done.stderr
        assert not (tmp_path / "run").exists()


def test_trees_that_teach_nothing_lead_to_what_was_left_out(whorl, tmp_path: Path) -> None:
    tree = node("What is 2 + 2?", 0.0, node(r"It is \boxed{5}.", 0.0))
    line = {"question": tree["text"], "answer": "4", "tree": tree}
    (tmp_path / "wrong.jsonl").write_text(json.dumps(line))
    run = tmp_path / "run"
    assert whorl("adopt", tmp_path / "wrong.jsonl", "--run", run).exit_code == 0
    *_, why, following = whorl("harvest", run).stderr.splitlines()
    assert why.startswith("there is nothing to learn from")
    assert following == f"next: whorl show {run}, or whorl view {run}"


@pytest.mark.skipif(not DATA.is_file(), reason="no public data beside the project")
def test_the_recorded_trees_are_whole_and_teach(whorl, tmp_path: Path) -> None:
    """Sizes and values as recorded; solutions by our verifier against the recorded outcome."""
    rows = [json.loads(line) for line in DATA.read_text().splitlines()]
    run = tmp_path / "run"
    assert whorl("adopt", DATA, "--run", run).exit_code == 0
    trees = list(read_trees(run / "trees.jsonl"))
    assert [len(tree.nodes) for tree in trees] == [row["nodes"] for row in rows]
    assert [tree.nodes[ROOT].mean for tree in trees] == [row["tree"]["mc_value"] for row in rows]
    solutions = [n for tree in trees for n in tree.nodes if n.terminal]
    assert len(solutions) == 236
    assert sum(n.reward == n.total for n in solutions) == 234
    assert all(n.reward == 1.0 for n in solutions)
    for recipe, least in (("rft", 12), ("process", 130), ("step_dpo", 3), ("grpo", 80)):
        out = tmp_path / f"{recipe}.jsonl"
        done = whorl("harvest", run, "--recipe", recipe, "--out", out)
        assert done.exit_code == 0, done.output
        assert len(list(read_examples(out))) >= least

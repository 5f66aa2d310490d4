"""What `whorl show` prints: counts first, then a line each, and trees without what lies aside."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from whorl.cli.drawing import tree_drawing
from whorl.cli.listing import Wanted, print_attempts, print_trees
from whorl.cli.results import print_rounds
from whorl.evaluate import Record
from whorl.evaluate.scores import write_records
from whorl.problem import Problem
from whorl.tree import ROOT, Node, Tree


def branching() -> Tree:
    """Two first steps, each with two ends; the right one of the second is chosen."""
    tree = Tree(Problem("p", "1+1?", "2"), cost={"policy": 7, "critic": 0})
    for _ in range(2):
        step = tree.add(Node(ROOT, "long words " * 40, visits=2, total=1.0))
        tree.add(Node(step, "wrong end", terminal=True, reward=0.0))
        tree.tip = tree.add(Node(step, "right end", terminal=True, reward=1.0))
    return tree


def drawn(tree: Tree, *, compact: bool) -> list[str]:
    said = io.StringIO()
    Console(file=said, width=200).print(tree_drawing(tree, notes=False, compact=compact))
    return said.getvalue().splitlines()


def test_a_compact_tree_is_the_chosen_solution_and_what_lies_beside_it() -> None:
    tree = branching()
    lines = drawn(tree, compact=True)
    assert len(lines) == 2 + 4  # question, answer; two first steps and the ends of one
    assert "2 steps below, 1/2 right" in lines[2]
    assert "* right end" in lines[-1]
    assert sum("end" in line for line in drawn(tree, compact=False)) == 4


def test_the_summary_counts_what_the_files_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = branching()
    lost.tip = ROOT
    lines = [tree.to_json() + "\n" for tree in (branching(), lost)]
    (tmp_path / "trees.jsonl").write_text("".join(lines))
    (tmp_path / "examples.jsonl").write_text("{}\n{}\n")
    assert print_trees([tmp_path / "trees.jsonl"], Wanted(solved=False))
    said = capsys.readouterr().out.splitlines()
    assert said[0] == ("2 trees of 1 problem: 1 solved (50.0 %), 1 not; 4 of 8 solutions right")
    assert said[1:4] == ["14 tokens (policy 14)", "taught 2 examples", ""]
    assert len(said) == 5 and "not solved" in said[4]
    assert not print_trees([tmp_path / "trees.jsonl"], Wanted(problem="q"))
    (tmp_path / "trees.jsonl").write_text(lines[0])
    assert print_trees([tmp_path / "trees.jsonl"], Wanted(solved=False)), "none is no error"
    assert capsys.readouterr().out.startswith("1 tree of 1 problem: 1 solved (100.0 %), 0 not")


def test_a_problem_that_is_left_out_is_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trees = tmp_path / "trees.jsonl"
    trees.write_text(branching().to_json() + "\n")
    assert print_trees([trees], Wanted(problem="p", solved=False)), "it is there"
    told = capsys.readouterr()
    assert told.err == "problem 'p' is solved, which --unsolved leaves out\n" and not told.out
    write_records(attempts := tmp_path / "a.jsonl", [Record(Problem("p", "1+1?", "2"), ())])
    assert print_attempts(attempts, Wanted(problem="p", solved=True))
    assert capsys.readouterr().err == "problem 'p' is not solved, which --solved leaves out\n"
    assert print_trees([trees], Wanted(problem="p", solved=True))
    assert "leaves out" not in capsys.readouterr().err


def test_a_table_in_a_pipe_is_not_cut(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    line = {
        **{"round": 1, "held_out": 0.5, "loss": 1.0, "seconds": 1.0, "generated_tokens": 10**9},
        **{"examples": 10**6, "learned": 10**6, "negative": 0.1, "sharing": 1.0, "right": 1.0},
        **{"solutions": 1.0, "entropy": 1.0, "usable": 0.5},
        "passed": {k: (0.5, 0.25, 0.75) for k in (1, 2, 4, 8)},
    }
    print_rounds([line], (), ())
    said = capsys.readouterr().out.splitlines()
    assert "…" not in said[0] and said[0].endswith("seconds")
    assert max(map(len, said)) > 100

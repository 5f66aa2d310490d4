"""What a token of search brings, counted over small trees."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from whorl.problem import Problem
from whorl.tree import ROOT, Author, Node, Tree


def grown(name: str, tokens: int, *ends: tuple[str, float, Author]) -> str:
    """A line of trees.jsonl: a tree of solutions that are one step each."""
    tree = Tree(Problem(name, "6 * 7?", "42"))
    for text, reward, author in ends:
        tree.add(Node(ROOT, text, author=author, terminal=True, reward=reward))
    tree.cost = {"policy": tokens, "reviser": 1000}
    return tree.to_json()


def told(
    load_benchmark: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, *runs: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["yields.py", *map(str, runs)])
    load_benchmark("yields").main()


def test_all_trees_of_a_problem_count_and_what_the_policy_wrote_alone(
    tmp_path: Path,
    load_benchmark: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    right, wrong = ("42", 1.0, "policy"), ("41", 0.0, "policy")
    one, two = tmp_path / "one", tmp_path / "two"
    for run in (one, two):
        run.mkdir()
    # one problem at two temperatures, one that the reviser alone solved, one of this run only
    lines = [
        grown("a", 100, right, right, ("It is 42", 1.0, "policy")),
        grown("a", 200, wrong),
        grown("b", 700, wrong, ("42", 1.0, "reviser")),
        grown("c", 5, right),
    ]
    (one / "trees.jsonl").write_text("\n".join(lines) + "\n")
    (two / "trees.jsonl").write_text(grown("a", 50, right) + "\n" + grown("b", 0) + "\n")
    told(load_benchmark, monkeypatch, one, two)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "2 problems"
    assert said[-2] == "| one | 1 | 1 | 500 | 10.0 | 20.0 |"
    assert said[-1] == "| two | 1 | 0 | 25 | 200.0 | 200.0 |"


@pytest.mark.parametrize(("first", "why"), [("x", "there is no problem of which"), ("", "read")])
def test_runs_that_cannot_be_compared_are_one_line(
    tmp_path: Path,
    load_benchmark: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    first: str,
    why: str,
) -> None:
    runs = [tmp_path / name for name in "ab"]
    for run, name in zip(runs, (first, "y"), strict=True):
        run.mkdir()
        if name:
            (run / "trees.jsonl").write_text(grown(name, 5) + "\n")
    with pytest.raises(SystemExit, match="2"):
        told(load_benchmark, monkeypatch, *runs)
    assert why in capsys.readouterr().err.splitlines()[-1]

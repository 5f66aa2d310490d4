"""Run files side by side, round by round: what the benchmark plays and adds up."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from whorl.cli.display import Display
from whorl.data.problems import write_problems
from whorl.data.synthetic import problems
from whorl.models import POLICY
from whorl.problem import Problem
from whorl.tree import ROOT, Node, Tree

ROOT_FOLDER = Path(__file__).parents[2]


@pytest.mark.slow
def test_each_round_of_each_arm_is_played_once_and_measured(
    tmp_path: Path, load_benchmark: Callable[[str], ModuleType]
) -> None:
    script = load_benchmark("by_round")
    write_problems(tmp_path / "p.jsonl", problems("pool", 3, seed=0, levels=[1]))
    write_problems(tmp_path / "t.jsonl", problems("test", 4, seed=1, levels=[1]))
    file = tmp_path / "run.toml"
    file.write_text(
        f"run = 'unused'\nproblems = '{tmp_path}/p.jsonl'\ntest = '{tmp_path}/t.jsonl'\n"
        f"engines.policy = 'local:{POLICY}'\nrounds = 9\npatience = 1\n"
        "recipe = {name = 'rft', preset = 'tiny', samples = 2}\ntrain.epochs = 1\n"
    )
    arms = {"two": [f"{file}"], "three": [f"{file}", "recipe.samples=3"]}
    found = script.play(tmp_path / "run", arms, 2, 1, Display())
    assert [row["round"] for row in found["arms"]["two"]] == [1, 2], "whatever the run file says"
    for name, count in (("two", 2), ("three", 3)):
        first, second = found["arms"][name]
        assert (first["responses"], second["responses"]) == (count, 2 * count)
        assert 0 < first["tokens"] < second["tokens"]
    assert found["arms"]["two"][-1]["over_first"] is None
    assert found["arms"]["three"][-1]["over_first"] is not None
    assert len(script.table(found).splitlines()) == 2 + 1 + 4
    assert script.play(tmp_path / "run", arms, 2, 1, Display()) == found


def test_responses_are_ends_that_the_policy_sampled(
    load_benchmark: Callable[[str], ModuleType],
) -> None:
    tree = Tree(Problem("a", "1+1?", "2"))
    guide = tree.add(Node(ROOT, "a", author="guide"))
    tree.add(Node(guide, "b", author="guide", terminal=True))
    tree.add(Node(guide, "c", terminal=True, copies=3))
    inner = tree.add(Node(ROOT, "d"))
    tree.add(Node(inner, "e", pruned=True))
    assert load_benchmark("by_round").sampled(tree) == 4


@pytest.mark.parametrize("name", ["guides", "curve", "four-rounds"])
def test_the_files_that_come_along_say_how_many_rounds(name: str) -> None:
    said = tomllib.loads((ROOT_FOLDER / "runs" / f"{name}.toml").read_text())
    assert said["rounds"] >= 4 and said["seeds"] >= 1

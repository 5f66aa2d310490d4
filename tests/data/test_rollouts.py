"""Trees as others read them: verl's and ART's rows as their sources have them, and sessions as the
Hub's page on its trace format says."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.report.conftest import refined, searched

from whorl.data.parquet import write_parquet
from whorl.data.rollouts import export_groups, export_problems, export_traces, session
from whorl.errors import UserError
from whorl.problem import Problem
from whorl.prompts import plain
from whorl.tree import ROOT, Node, Tree


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_problems_are_rows_of_verl_each_once(tmp_path: Path) -> None:
    trees = [searched(1), searched(1), searched(2)]
    assert export_problems(trees, tmp_path / "a.jsonl").rows == 2
    first, second = read(tmp_path / "a.jsonl")
    assert set(first) == {"data_source", "prompt", "ability", "reward_model", "extra_info"}
    assert first["reward_model"] == {"style": "rule", "ground_truth": trees[0].problem.answer}
    assert first["prompt"][-1] == {"role": "user", "content": plain(trees[0]).user}
    ends = [tree.nodes[i] for tree in trees[:2] for i in tree.leaves()]
    assert first["extra_info"]["solutions"] == len(ends)
    assert first["extra_info"]["right"] == sum(end.reward == 1.0 for end in ends)
    assert [row["extra_info"]["index"] for row in (first, second)] == [0, 1]


def test_a_table_holds_what_the_lines_hold(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    for name in ("a.jsonl", "a.parquet"):
        export_problems([searched(1), searched(2)], tmp_path / name)
    table = datasets.Dataset.from_parquet(
        str(tmp_path / "a.parquet"), cache_dir=str(tmp_path / "cache")
    )
    assert list(table) == read(tmp_path / "a.jsonl")


def test_solutions_are_trajectories_of_art(tmp_path: Path) -> None:
    tree = refined(1)
    tree.nodes[next(tree.leaves())].copies = 3
    empty = Tree(Problem("p", "?", "1"))
    done = export_groups([tree, empty], tmp_path / "a.jsonl")
    assert done.dropped == {"no judged solution of the policy": 1}
    (group,) = read(tmp_path / "a.jsonl")
    own = [i for i in tree.leaves() if tree.first_hand(i)]
    assert len(group["trajectories"]) == len(own) + 2
    needed = {"messages_and_choices", "reward", "metrics", "metadata", "logs", "tools"}
    for one in group["trajectories"]:
        assert needed <= set(one)
        leaf = one["metadata"]["node"]
        assert one["messages_and_choices"][-1] == {
            "role": "assistant",
            "content": tree.text(leaf),
        }
        assert one["reward"] == tree.nodes[leaf].reward


def test_a_tree_is_a_session_as_the_hub_shows_it(tmp_path: Path) -> None:
    tree = refined(1)
    thinker = Tree(Problem("q", "1+1?", "2"))
    text = "<think>\nhm\n</think>\n\nIt is \\boxed{2}"
    thinker.tip = thinker.add(Node(ROOT, text, terminal=True, reward=1.0))
    assert export_traces([tree, thinker], tmp_path / "out").rows == 2
    for file in (tmp_path / "out").iterdir():
        header, *lines = read(file)
        assert header["type"] == "session" and header["harness"] == "whorl"
        assert file.stem == header["id"]
        for line in lines:
            assert line["type"] == "message"
            assert line["message"]["role"] in ("user", "assistant", "system", "tool")
            assert isinstance(line["message"]["content"], str)
    roles = [one["role"] for one in session(tree)]
    assert roles[-4:] == ["user", "assistant", "user", "assistant"]
    assert session(tree)[-1]["content"] == tree.text(tree.tip)
    (said,) = (one for one in session(thinker) if one["role"] == "assistant")
    assert said["reasoningContent"].strip() == "hm" and said["content"] == "It is \\boxed{2}"
    with pytest.raises(UserError, match="is not empty"):
        export_traces([tree], tmp_path / "out")


def test_every_round_has_a_session_of_its_own(tmp_path: Path) -> None:
    first, second = refined(1), refined(1)
    first.provenance["seed"], second.provenance["seed"] = "1000", "2000"
    assert export_traces([first, second], tmp_path / "out").rows == 2
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_an_export_that_is_interrupted_leaves_room_for_the_next(tmp_path: Path) -> None:
    def trees() -> Iterator[Tree]:
        yield refined(1)
        raise KeyboardInterrupt

    for write in (export_traces, lambda these, out: write_parquet({0: iter(these)}, out)):
        out = tmp_path / "out"
        with pytest.raises(KeyboardInterrupt):
            write(trees(), out)
        assert list(tmp_path.iterdir()) == []
        write([refined(1)], out)
        shutil.rmtree(out)


SCRIPT = """
from whorl.cli.exports import Choice, exported_trees
from pathlib import Path
done = exported_trees([Path("trees.jsonl")], Choice("trackio", Path("mine")), 0.0, "")
print("ROWS", done.rows)
"""


def test_trees_are_traces_of_trackio(tmp_path: Path) -> None:
    pytest.importorskip("trackio")
    (tmp_path / "trees.jsonl").write_text(refined(1).to_json() + "\n")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env=os.environ | {"TRACKIO_DIR": str(tmp_path / "kept")},
        capture_output=True,
        text=True,
    )
    assert "ROWS 1" in done.stdout, done.stderr
    with closing(sqlite3.connect(tmp_path / "kept" / "mine.db")) as kept:
        ((messages, metadata),) = kept.execute("SELECT messages, metadata FROM traces")
    assert [one["role"] for one in json.loads(messages)] == [
        one["role"] for one in session(refined(1))
    ]
    assert json.loads(metadata)["problem"] == "apples-0001"

"""Trees are read from run folders, data sets of Parquet and files alike; a round that is not there
is refused by all who read them."""

from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'whorl[hub]'")

from whorl.cli.source import tree_files
from whorl.data.forest import read_trees
from whorl.data.parquet import write_parquet
from whorl.errors import UserError
from whorl.loop.folder import RunFolder
from whorl.problem import Problem
from whorl.tree import ROOT, Node, Tree


def tree(name: str) -> Tree:
    made = Tree(Problem(name, "1+1?", "2"))
    made.tip = made.add(Node(ROOT, "\\boxed{2}", terminal=True, reward=1.0))
    return made


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder of two rounds, with a tree each."""
    with RunFolder.open(tmp_path / "run", {}, version="0") as folder:
        for number, name in enumerate("ab", start=1):
            part = folder.path / f"round-{number}"
            part.mkdir()
            (part / "trees.jsonl").write_text(tree(name).to_json() + "\n")
    return folder.path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The same as a data set of Parquet."""
    write_parquet({1: iter([tree("a")]), 2: iter([tree("b")])}, tmp_path / "table")
    return tmp_path / "table"


def names(files: list[Path]) -> list[str]:
    return [tree.problem.id for file in files for tree in read_trees(file)]


def test_all_rounds_or_one(run: Path, table: Path) -> None:
    for source in (run, table):
        assert names(tree_files(source)) == ["a", "b"]
        assert names(tree_files(source, 2)) == ["b"]
        with pytest.raises(UserError, match=f"{source} has no round 7; there are 1, 2"):
            tree_files(source, 7)
    with pytest.raises(UserError, match="is not a run folder"):
        tree_files(run.parent)


def test_a_file_and_a_data_set_may_have_no_rounds(run: Path, table: Path, tmp_path: Path) -> None:
    for file in (run / "round-1" / "trees.jsonl", table / "round=1" / "trees.parquet"):
        assert names(tree_files(file)) == ["a"]
        with pytest.raises(UserError, match="is no folder of rounds; leave out --round 1"):
            tree_files(file, 1)
    write_parquet({0: iter([tree("a")])}, tmp_path / "plain")
    with pytest.raises(UserError, match="plain has no round 1; it has none"):
        tree_files(tmp_path / "plain", 1)


def test_commands_refuse_a_round_that_is_not_there(
    whorl, run: Path, table: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    trees = run / "round-1" / "trees.jsonl"
    for source, why in ((table, "has no round 7; there are 1, 2"), (trees, "leave out --round 7")):
        commands = [("show", source), ("export", "--format", "prm", source, "--out", out)]
        if source == table:
            commands.append(("harvest", source, "--recipe", "rft", "--out", out))
        for command in commands:
            done = whorl(*command, "--round", 7)
            assert done.exit_code == 2 and why in done.stderr, done.output
            assert whorl(*command).exit_code == 0
            out.unlink(missing_ok=True)
    (examples := tmp_path / "examples.jsonl").write_text("")
    done = whorl("export", "--format", "trl", examples, "--out", out, "--round", 7)
    assert done.exit_code == 2 and "leave out --round 7" in done.stderr


def test_a_data_set_is_exported_as_a_run_is(whorl, run: Path, table: Path, tmp_path: Path) -> None:
    written = []
    for source in (run, table):
        out = tmp_path / f"{source.name}.jsonl"
        done = whorl("export", "--format", "prm", source, "--out", out, "--round", 2)
        assert done.exit_code == 0, done.output
        written.append(out.read_bytes())
    assert written[0] == written[1]
    (table / "round=1" / "trees.parquet").rename(table / "round=2" / "more.parquet")
    again = tmp_path / "again"
    done = whorl("export", "--format", "parquet", table, "--out", again)
    assert done.exit_code == 0 and f"wrote {again}: 2 trees" in done.stderr
    assert names(tree_files(again, 2)) == ["a", "b"], "two files of a round are one"

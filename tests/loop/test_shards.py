"""Shards that are killed, continued as another number of them and merged: one machine's trees."""

import shutil
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from sqlite3 import connect

import pytest

from whorl import settings
from whorl.data.shard import Shard
from whorl.engines import toy
from whorl.engines.crew import Here
from whorl.engines.function import Function
from whorl.errors import UserError
from whorl.loop.folder import RunFolder
from whorl.loop.grow import Grown, GrowPlan, grow
from whorl.loop.merge import merge, sharded
from whorl.loop.shards import Share, open_part, parts_of
from whorl.recipes.sigma import Sigma
from whorl.search import Uct

PROBLEMS = 40
RECIPE = Sigma(temperatures=(0.7, 1.0), uct=Uct(simulations=2))
SAID = {"recipe": settings.as_table(RECIPE)}
PLAN = GrowPlan(RECIPE, "sigma", width=4)
ROLES = ("policy", "critic", "reviser")

KILLED = """
import os, signal, sys
from pathlib import Path
from tests.loop.test_shards import grow_shard
from whorl.data.shard import Shard
from whorl.engines import toy

left = int(sys.argv[3])

def answer(ask):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return toy.answer(ask)

grow_shard(Path(sys.argv[1]), Shard.read(sys.argv[2]), answer)
"""


def grow_shard(path: Path, shard: Shard | None, answer=toy.answer) -> Grown:  # type: ignore[no-untyped-def]
    def read() -> Iterable:  # type: ignore[type-arg]
        return toy.problems(PROBLEMS)

    crew = Here(dict.fromkeys(ROLES, Function(answer)))
    with open_part(path, SAID, shard, read, version="test") as part:
        plan = replace(PLAN, others=part.others)
        return grow(part.folder, part.of(read()), plan, crew)


def kill(path: Path, shard: str, after: int) -> None:
    command = [sys.executable, "-c", KILLED, str(path), shard, str(after)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == -9, done.stderr


def rows(path: Path) -> list[tuple[object, ...]]:
    with closing(connect(path)) as database:
        return sorted(database.execute("SELECT ask, role, replies FROM answer"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run as one process grows it."""
    path = tmp_path_factory.mktemp("whole") / "run"
    assert grow_shard(path, None).trees == 2 * PROBLEMS
    return path


def test_sixteen_shards_three_killed_and_continued_as_five(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    for number in range(1, 17):
        if number in (3, 7, 11):
            kill(run, f"{number}/16", 30)
        else:
            grow_shard(run, Shard(number, 16))
    begun = {row for part in parts_of(run / "shards") for row in rows(part / "journal.db")}
    asked: list[object] = []

    def counted(ask):  # type: ignore[no-untyped-def]
        asked.append(ask)
        return toy.answer(ask)

    for number in range(1, 6):
        grow_shard(run, Shard(number, 5), counted)
    merged = merge(run)
    assert (merged.shards, merged.trees, merged.missing, merged.unfinished) == (21, 80, 0, ())
    assert (run / "trees.jsonl").read_bytes() == (whole / "trees.jsonl").read_bytes()
    assert rows(run / "journal.db") == rows(whole / "journal.db")
    assert len(asked) == len(rows(whole / "journal.db")) - len(begun)  # nothing was asked twice
    assert not (run / "shards").exists()
    assert grow_shard(run, None).tokens == 0


def test_what_is_merged_early_goes_on_in_one_process(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    grow_shard(run, Shard(1, 3))
    kill(run, "2/3", 40)
    with pytest.raises(UserError, match=r"has 2 shards, which are not merged: whorl merge"):
        grow_shard(run, None)
    merged = merge(run)
    assert merged.unfinished == ("2-of-3",)
    assert merged.missing == 80 - merged.trees > 0
    assert Share.read(run).problems == PROBLEMS
    grow_shard(run, Shard(2, 2))  # of what is left
    merge(run)
    grown = grow_shard(run, None)
    assert (grown.trees, grown.missing) == (80, 0)
    assert (run / "trees.jsonl").read_bytes() == (whole / "trees.jsonl").read_bytes()
    assert rows(run / "journal.db") == rows(whole / "journal.db")


def test_failures_are_merged_and_tried_again(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"

    def dumb(ask):  # type: ignore[no-untyped-def]
        raise RuntimeError("out of memory")

    assert len(grow_shard(run, Shard(1, 2), dumb).failures) == PROBLEMS
    grow_shard(run, Shard(2, 2))
    merged = merge(run)
    assert (len(merged.failures), merged.trees, merged.missing) == (PROBLEMS, PROBLEMS, 0)
    assert not grow_shard(run, None).failures
    assert (run / "trees.jsonl").read_bytes() == (whole / "trees.jsonl").read_bytes()


def test_two_processes_on_one_shard_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whorl.loop.shards._PATIENCE", 0.1)
    run = tmp_path / "run"
    with open_part(run, SAID, Shard(1, 2), lambda: (), version="test"):
        with pytest.raises(UserError, match=r"1-of-2 is in use by process \d+ on "):
            grow_shard(run, Shard(1, 2))
        with pytest.raises(UserError, match=r"1-of-2 is in use"):  # by another division
            grow_shard(run, Shard(1, 3))
        with pytest.raises(UserError, match="in use by other processes"):
            merge(run)
        with pytest.raises(UserError, match="in use by other processes"):
            RunFolder.open(run, SAID, version="test")
    with (
        RunFolder.open(run, SAID, version="test"),
        pytest.raises(UserError, match=r"run is in use by process \d+ on "),
    ):
        grow_shard(run, Shard(1, 2))
    with (
        pytest.raises(UserError, match="belongs to other settings"),
        open_part(run, {"recipe": {}}, Shard(1, 2), lambda: (), version="test"),
    ):
        pass


def test_a_merge_that_was_killed_while_it_removed_goes_on(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    for number in (1, 2):
        grow_shard(run, Shard(number, 2))
    first = run / "shards" / "1-of-2"
    shutil.copytree(first, run / "shards" / "1-of-2.merged")  # and it was begun anew since
    assert merge(run).trees == 80
    assert (run / "trees.jsonl").read_bytes() == (whole / "trees.jsonl").read_bytes()
    assert not (run / "shards").exists()
    (run / "shards" / "2-of-2.merged").mkdir(parents=True)
    assert sharded(run) == [run]
    assert (merge(run).trees, merge(run).missing) == (80, 0)
    assert not (run / "shards").exists() and sharded(run) == []

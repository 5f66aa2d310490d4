"""trees.jsonl: whole lines, whatever happened while they were written."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.data.atomic import replacing
from whorl.data.forest import Forest, key_of, read_trees
from whorl.errors import UserError
from whorl.problem import Problem
from whorl.tree import ROOT, Node, Tree


def plant(problem: str, arm: str = "", steps: int = 3) -> Tree:
    tree = Tree(Problem(problem, 'what is ,"nodes":[ ?', "1"))
    if arm:
        tree.provenance["arm"] = arm
    for step in range(steps):
        tree.add(Node(ROOT, f"{problem} {arm} {step} \ud800"))
    return tree


def test_what_is_appended_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "trees.jsonl"
    trees = [plant("b", "hot"), plant("a"), plant("b", "cold")]
    with Forest(path) as forest:
        for tree in trees:
            assert key_of(tree) not in forest
            forest.append(tree)
            assert key_of(tree) in forest
        assert list(forest) == trees  # readable while it is open
        assert len(forest) == 3
    with Forest(path) as forest:
        assert ("b", "hot") in forest and ("a", "") in forest and ("a", "hot") not in forest
        assert len(forest) == 3 and forest.repaired == 0
    assert list(read_trees(path)) == trees


@pytest.mark.parametrize("left", [1, 10, -1])
def test_a_torn_last_line_is_cut_off(tmp_path: Path, left: int) -> None:
    path = tmp_path / "trees.jsonl"
    with Forest(path) as forest:
        forest.append(plant("a"))
    whole = path.read_bytes()
    path.write_bytes(whole + (plant("b").to_json() + "\n").encode()[:left])
    torn = path.stat().st_size - len(whole)
    if left > 0:
        assert list(read_trees(path)) == [plant("a")]
    with Forest(path) as forest:
        assert forest.repaired == torn
        assert ("b", "") not in forest
        assert path.read_bytes() == whole
        forest.append(plant("b"))
    assert list(read_trees(path)) == [plant("a"), plant("b")]


def test_a_line_from_another_hand_needs_no_newline_at_the_end_to_be_read(tmp_path: Path) -> None:
    path = tmp_path / "trees.jsonl"
    path.write_text(plant("a").to_json())
    assert list(read_trees(path)) == [plant("a")]


@pytest.mark.parametrize("broken", ["", "{}", '{"problem":', "[1]", '{"problem":[],"nodes":[]}'])
def test_a_broken_line_is_named(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "trees.jsonl"
    path.write_text("\n".join([plant("a").to_json(), broken, plant("b").to_json(), ""]))
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"trees\.jsonl:2: "):
        list(read_trees(path))
    with pytest.raises(UserError, match=r"trees\.jsonl:2: "):
        Forest(path)
    assert path.read_bytes() == before


def test_bytes_that_are_no_text_are_a_broken_line(tmp_path: Path) -> None:
    path = tmp_path / "trees.jsonl"
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(UserError, match=":1: "):
        list(read_trees(path))
    with pytest.raises(UserError, match=":1: "):
        Forest(path)


def test_a_second_tree_of_a_problem_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trees.jsonl"
    with Forest(path) as forest:
        forest.append(plant("a", "x"))
        with pytest.raises(ValueError, match="'a', arm 'x'"):
            forest.append(plant("a", "x"))
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(UserError, match=":2: a second tree"):
        Forest(path)


@pytest.mark.parametrize(
    "damage",
    [
        ('"parent":0', '"parent":7'), ('"nodes":[{', '"nodes":[{]'), ('"tip":', '"lip":'),
        ('"provenance":{', '"provenance":[{'), ("}]}", "}]"), ('"author":', '"auther":'),
        ('"author":"reviser"', '"author":"revisor"'),
    ],
)  # fmt: skip
def test_a_damaged_line_is_found_by_growing_as_by_harvesting(
    tmp_path: Path, damage: tuple[str, str]
) -> None:
    path = tmp_path / "trees.jsonl"
    with Forest(path) as forest:
        for name in "abc":
            tree = plant(name)
            tree.add(Node(0, "1", author="reviser"))
            forest.append(tree)
    first, second, third = path.read_text().splitlines()
    assert damage[0] in second
    path.write_text("\n".join([first, second.replace(*damage), third, ""]))
    with pytest.raises(UserError, match=r"trees.jsonl:2: "):
        list(read_trees(path))
    with pytest.raises(UserError, match=r"trees.jsonl:2: .*; delete that line"):
        Forest(path)


def test_a_missing_file_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        next(read_trees(tmp_path / "trees.jsonl"))
    with pytest.raises(UserError, match="cannot be written"):
        Forest(tmp_path / "nowhere" / "trees.jsonl")


@settings(max_examples=50, deadline=None)
@given(
    arrivals=st.permutations([(p, a) for p in "cab" for a in ("", "hot")]),
    known=st.lists(st.sampled_from("abcd"), max_size=6),
)
def test_the_order_of_arrival_leaves_no_trace(
    tmp_path_factory: pytest.TempPathFactory, arrivals: list[tuple[str, str]], known: list[str]
) -> None:
    path = tmp_path_factory.mktemp("forest") / "trees.jsonl"
    order = [(problem, arm) for problem in known for arm in ("hot", "")]
    first = [key for key in dict.fromkeys(order) if key[0] != "d"]
    expected = [*first, *sorted(set(arrivals) - set(first))]
    with Forest(path) as forest:
        for key in arrivals:
            forest.append(plant(*key))
        forest.finish(iter(order))
        once = path.read_bytes()
        assert [key_of(tree) for tree in forest] == expected
        assert len(forest) == 6
        forest.finish(order)
        assert path.read_bytes() == once
        forest.append(plant("z"))
        forest.finish(order)
    assert path.read_bytes() == once + (plant("z").to_json() + "\n").encode()
    assert os.listdir(path.parent) == ["trees.jsonl"]


def test_a_sort_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "trees.jsonl"
    with Forest(path) as forest:
        forest.append(plant("b"))
        forest.append(plant("a"))
        before = path.read_bytes()
        with pytest.raises(UserError, match="out of order"):
            forest.finish(key for key in _break_down())
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == ["trees.jsonl"]
        forest.append(plant("c"))
        forest.finish([])
    assert [key_of(tree)[0] for tree in read_trees(path)] == ["a", "b", "c"]


def _break_down() -> list[tuple[str, str]]:
    raise UserError("out of order")


def test_a_file_is_replaced_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    path.write_text("old")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["scores.json"]


@pytest.mark.parametrize("place", ["file/scores.json", "file/deeper/scores.json"])
def test_a_place_where_nothing_can_be_written_is_a_user_error(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match=r"scores\.json cannot be written"),
        replacing(tmp_path / place),
    ):
        pass


GROWER = """
import sys
from pathlib import Path
from whorl.data.forest import Forest
from whorl.problem import Problem
from whorl.tree import ROOT, Node, Tree

with Forest(Path(sys.argv[1])) as forest:
    for number in range(len(forest), 10**9):
        tree = Tree(Problem(str(number), "q", "a"))
        for step in range(2000):
            tree.add(Node(ROOT, "the same step again " * 10))
        forest.append(tree)
        print(number, flush=True)
"""


def test_sigkill_loses_at_most_the_line_being_written(tmp_path: Path) -> None:
    path, rng, kept = tmp_path / "trees.jsonl", random.Random(3), 0
    for _ in range(4):
        command = [sys.executable, "-c", GROWER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert int(child.stdout.readline()) == kept
            time.sleep(rng.uniform(0, 0.1))
            os.kill(child.pid, signal.SIGKILL)
            appended = kept + 1 + child.stdout.read().count("\n")
        with Forest(path) as forest:
            assert appended <= len(forest) <= appended + 1
            kept = len(forest)
        names = [tree.problem.id for tree in read_trees(path)]
        assert names == [str(number) for number in range(kept)]


FULL = """
import resource
import sys
from pathlib import Path
from whorl.data.forest import Forest
from whorl.errors import UserError
from whorl.problem import Problem
from whorl.tree import ROOT, Node, Tree

limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))  # writing on fails, as on a full disk
with Forest(Path(sys.argv[1])) as forest:
    try:
        for number in range(len(forest), 10**6):
            tree = Tree(Problem(str(number), "q" * 1000, "a"))
            forest.append(tree)
    except UserError as error:
        print(number, error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit // 2, limit))
    try:
        forest.finish([])
    except UserError as error:
        print(number, error)
"""


def test_a_full_disk_is_one_clear_line_and_leaves_whole_trees(tmp_path: Path) -> None:
    path = tmp_path / "trees.jsonl"
    command = [sys.executable, "-c", FULL, str(path), "50000"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    appending, finishing = done.stdout.splitlines()
    assert "trees.jsonl cannot be written: File too large" in appending
    assert "trees.jsonl cannot be written: File too large" in finishing
    grown = int(appending.split()[0])
    assert grown > 40
    with Forest(path) as forest:
        assert forest.repaired == 0
        assert [tree.problem.id for tree in forest] == [str(n) for n in range(grown)]
    assert os.listdir(tmp_path) == ["trees.jsonl"]

"""The index beside a file of trees: as the file is, whatever became of it."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.view.folder import odd, small, wide

from whorl.data.forest import Forest
from whorl.problem import Problem
from whorl.tree import Node, Tree
from whorl.view.facts import calibration, facts_of
from whorl.view.fork import fork_of
from whorl.view.index import Index
from whorl.view.listing import OUTCOMES, SORTS, Query, listing, neighbours


def written(path: Path, trees: list[Tree]) -> Index:
    path.write_text("".join(tree.to_json() + "\n" for tree in trees))
    index = Index(path)
    index.refresh()
    return index


def ids(index: Index, **said: str) -> list[str]:
    return [row["problem"] for row in listing(index, Query.read(said)).rows]


def test_an_index_tells_what_the_trees_tell(tmp_path: Path) -> None:
    trees = [*map(small, range(12)), *odd()]
    index = written(tmp_path / "trees.jsonl", trees)
    rows = index.read("SELECT * FROM trees ORDER BY number")
    assert len(rows) == len(trees)
    for row, tree in zip(rows, trees, strict=True):
        facts = facts_of(tree)
        assert all(row[name] == getattr(facts, name) for name in facts.__slots__)
        assert index.tree(row["start"]).to_json() == tree.to_json()


def test_values_are_compared_with_what_came_of_them() -> None:
    tree = Tree(Problem("p", "?", "1"))
    step = tree.add(Node(0, "a", visits=4, total=3.0, value=0.61))
    tree.add(Node(step, "b", terminal=True, reward=1.0, value=0.95, visits=1, total=1.0))
    tree.add(Node(step, "c", terminal=True, reward=0.0, visits=1))
    tree.add(Node(step, "d", terminal=True))  # undecided
    found = sorted(calibration(tree))
    assert found == [
        ("end", 9, 1.0),
        ("search", 6, 1.0),  # (3 - 1) / (4 - 1)
        ("search", 9, 0.0),  # 3 / 3, the last bin
        ("step", 6, 0.75),
    ]


def test_what_is_appended_is_added_and_a_torn_line_waits(tmp_path: Path) -> None:
    path = tmp_path / "trees.jsonl"
    index = written(path, [small(1)])
    line = small(2).to_json() + "\n"
    with path.open("a") as file:
        file.write(line[:100])
    index.refresh()
    assert ids(index) == ["pool:1"]
    with path.open("a") as file:
        file.write(line[100:])
    index.refresh()
    assert ids(index) == ["pool:1", "pool:2"]


def test_a_file_that_was_sorted_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "trees.jsonl"
    with Forest(path) as forest:
        for number in (3, 1, 2):
            forest.append(small(number))
        index = Index(path)
        index.refresh()
        assert ids(index) == ["pool:3", "pool:1", "pool:2"]
        forest.finish((f"pool:{k}", "T=0.4") for k in (1, 2, 3))
    index.refresh()
    assert ids(index) == ["pool:1", "pool:2", "pool:3"]
    row = index.read("SELECT * FROM trees WHERE problem='pool:3'")[0]
    assert index.tree(row["start"]).problem.id == "pool:3"


def test_two_that_index_at_once_take_each_tree_in_once(tmp_path: Path) -> None:
    path = tmp_path / "trees.jsonl"
    line = small(1).to_json() + "\n"
    path.write_text(line * 500)
    several = [Index(path) for _ in range(3)]
    with ThreadPoolExecutor() as threads:
        list(threads.map(Index.refresh, several))
    rows = several[0].read("SELECT count(*), count(DISTINCT start) FROM trees")
    assert tuple(rows[0]) == (500, 500)


def test_a_damaged_index_is_made_anew(tmp_path: Path) -> None:
    index = written(tmp_path / "trees.jsonl", [small(1)])
    (tmp_path / "trees.index.db").write_bytes(b"no database" * 100)
    assert ids(index) == []
    index.refresh()
    assert ids(index) == ["pool:1"]


def test_trees_in_a_folder_that_cannot_be_written_to_are_indexed_elsewhere(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "elsewhere"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").mkdir()
    index = written(tmp_path / "run" / "trees.jsonl", [small(1)])
    assert ids(index) == ["pool:1"]
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["trees.jsonl"]


def test_a_list_is_searched_filtered_sorted_and_cut(shown: Path) -> None:
    index = Index(shown / "round-1" / "trees.jsonl")
    index.refresh()
    everything = listing(index, Query())
    assert (everything.found, everything.all, everything.pages) == (65, 65, 2)
    assert len(listing(index, Query(page=2)).rows) == 15
    assert ids(index, words="forty steps") == ["deep"]
    assert ids(index, words="100%_'\"\\") == []
    assert ids(index, words="加二") == ["scripts"]
    assert ids(index, deep="40") == ["deep"]
    assert ids(index, mark="disagree") == ["scripts"]
    assert ids(index, dropped="wrong after revision") == ["pool:3"]
    assert ids(index, sort="nodes")[0] == "large"
    assert ids(index, sort="longest")[0] == "long"
    taught = {row["problem"] for row in listing(index, Query(mark="taught")).rows}
    assert "pool:1" in taught
    assert not taught & set(ids(index, mark="nothing"))
    parts = ("wrong-right", "right-wrong", "right-right", "wrong-wrong")
    for name in parts:
        for row in listing(index, Query(outcome=name)).rows:
            assert f"{row['before']}-{row['after']}" == name
    found = {name: listing(index, Query(outcome=name)).found for name in OUTCOMES}
    assert found["before-right"] >= found["right-right"] + found["right-wrong"]
    assert found["before-wrong"] >= found["wrong-right"] + found["wrong-wrong"]
    for sort in SORTS:
        assert listing(index, Query(sort=sort)).found == 65


def test_an_address_says_a_query_and_nothing_else_gets_in() -> None:
    query = Query("two words", "never", "refined", "", "a&b", 3, "tokens", 2)
    said = dict(part.split("=") for part in query.address()[1:].split("&"))
    assert said["arm"] == "a%26b"
    assert Query.read({"sort": "1; DROP TABLE trees", "page": "-1", "deep": "x"}) == Query()
    assert Query.read({"page": "9" * 40}).page == 1


def test_trees_have_neighbours(shown: Path) -> None:
    index = Index(shown / "round-1" / "trees.jsonl")
    index.refresh()
    before, after = neighbours(index, 2)
    assert before is not None and after is not None
    assert (before["number"], after["number"]) == (1, 3)
    assert neighbours(index, 1)[0] is None


def test_a_fork_has_the_siblings_of_a_step() -> None:
    tree = small(1)
    for i, node in enumerate(tree.nodes[1:], start=1):
        fork = fork_of(tree, i, ())
        assert [one.index for one in fork.siblings] == tree.nodes[node.parent].children
        assert [one.index for one in fork.siblings if one.selected] == [i]
    many = wide(300)
    last = many.nodes[0].children[-1]
    fork = fork_of(many, last, ())
    assert last in [one.index for one in fork.siblings]
    assert len(fork.siblings) + fork.hidden == len(many.nodes[0].children)
    whole = fork_of(tree, tree.nodes[0].children[0], ())
    assert sum(one.size for one in whole.siblings) == len(tree.nodes) - 1

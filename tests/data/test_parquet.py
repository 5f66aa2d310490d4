"""Trees as a data set of Parquet: nothing is lost, and others read it."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'whorl[hub]'")

from whorl.data.forest import read_trees
from whorl.data.parquet import write_parquet
from whorl.errors import UserError
from whorl.problem import Problem
from whorl.tree import ROOT, Node, Tree


def tree(name: str, text: str = "\\boxed{2}", reward: float = 1.0) -> Tree:
    made = Tree(Problem(name, "1+1?", "2"), provenance={"arm": "a", "recipe": "rft", "seed": "0"})
    made.add(Node(ROOT, text, terminal=True, reward=reward, tokens=3))
    made.cost = {"policy": 3}
    return made


@settings(max_examples=20)
@given(
    texts=st.dictionaries(
        st.integers(0, 12), st.lists(st.text(max_size=30), min_size=1), min_size=1
    )
)
def test_trees_come_back_as_they_were_round_by_round(
    texts: dict[int, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("set") / "trees"
    trees = {
        number: [tree(f"{number}-{i}", text) for i, text in enumerate(those)]
        for number, those in texts.items()
    }
    count = write_parquet({number: iter(those) for number, those in trees.items()}, folder)
    wanted = [one.to_json() for number in sorted(trees) for one in trees[number]]
    assert count == len(wanted)
    assert [one.to_json() for one in read_trees(folder)] == wanted


def test_others_read_it_by_round(tmp_path: Path) -> None:
    folder = tmp_path / "trees"
    write_parquet({1: iter([tree("a"), tree("b", reward=0.0)]), 2: iter([tree("c")])}, folder)
    from pyarrow import dataset

    found = dataset.dataset(folder, partitioning="hive")
    rows = found.to_table(columns=["problem", "solved", "round", "tokens"]).to_pylist()
    assert [(row["problem"], row["solved"], row["round"]) for row in rows] == [
        ("a", True, 1),
        ("b", False, 1),
        ("c", True, 2),
    ]
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset("parquet", data_dir=str(folder), cache_dir=str(tmp_path / "c"))
    assert loaded["train"]["problem"] == ["a", "b", "c"]
    duckdb = pytest.importorskip("duckdb")
    query = f"select round, avg(solved::int) from '{folder}/*/*.parquet' group by 1 order by 1"
    assert duckdb.sql(query).fetchall() == [(1, 0.5), (2, 1.0)]


def test_what_is_no_set_of_trees_is_refused(tmp_path: Path) -> None:
    write_parquet({0: iter([tree("a")])}, tmp_path / "trees")
    with pytest.raises(UserError, match="is not empty"):
        write_parquet({0: iter([tree("a")])}, tmp_path / "trees")
    with pytest.raises(UserError, match="there are no trees"):
        write_parquet({0: iter([])}, tmp_path / "none")
    import pyarrow
    from pyarrow import parquet

    other = tmp_path / "other.parquet"
    parquet.write_table(pyarrow.table({"a": [1]}), other)
    with pytest.raises(UserError, match="has no column 'tree'"):
        list(read_trees(other))

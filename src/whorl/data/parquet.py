"""Trees as a data set of Parquet, a folder for each round, for DuckDB, `datasets` and pandas; whorl
reads it where it reads a file of trees."""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from whorl.data.atomic import filling
from whorl.errors import UserError
from whorl.tree import Tree

_TOGETHER = 256  # trees of a row group
_AT_ONCE = 16  # rows that are unpacked at once


def write_parquet(trees: Mapping[int, Iterator[Tree]], folder: Path) -> int:
    """Write trees by round, 0 if there are none, into a new folder as `round=N/trees.parquet`;
    returns how many they are.

    Columns: `problem, arm, question, answer, level`; `recipe` and `seed` that grew it; `solved`,
    whether a solution in it is; `tokens` sampled, `nodes`; and `tree`, the line of trees.jsonl, in
    which nothing is lost. Raises `UserError` if the folder holds files, or there are no trees.
    """
    pyarrow, parquet = _pyarrow(folder)
    text, whole = pyarrow.string(), pyarrow.int64()
    kinds = {"solved": pyarrow.bool_(), "tokens": whole, "nodes": whole}
    names = ("problem", "arm", "question", "answer", "level", "recipe", "seed", *kinds, "tree")
    schema = pyarrow.schema([(name, kinds.get(name, text)) for name in names])
    count = 0
    with filling(folder, "the data set") as place:
        for number, those in trees.items():
            path = place / f"round={number}" / "trees.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            with parquet.ParquetWriter(path, schema, compression="zstd") as file:
                while some := list(islice(those, _TOGETHER)):
                    table = pyarrow.Table.from_pylist([*map(_row, some)], schema)
                    file.write_table(table)
                    count += len(some)
        if not count:
            raise UserError("nothing to export: there are no trees")
    return count


def _row(tree: Tree) -> dict[str, Any]:
    said = tree.provenance
    return {
        "problem": tree.problem.id,
        "arm": said.get("arm", ""),
        "question": tree.problem.question,
        "answer": tree.problem.answer,
        "level": str(tree.problem.level),
        "recipe": said.get("recipe", ""),
        "seed": said.get("seed", ""),
        "solved": any(node.reward == 1.0 for node in tree.nodes),
        "tokens": sum(tree.cost.values()),
        "nodes": len(tree.nodes),
        "tree": tree.to_json(),
    }


def parquet_files(path: Path) -> list[Path]:
    """The files of trees in a data set, round by round, or the one file that `path` is; empty if it
    is none."""
    if path.is_file():
        return [path] if path.suffix == ".parquet" else []
    return sorted(path.glob("round=*/*.parquet"), key=lambda file: (round_of(file), file))


def round_of(file: Path) -> int:
    """Number of the round that a file of a data set is of, by its folder; 0 if it is of none."""
    number = file.parent.name.removeprefix("round=")
    return int(number) if number.isdecimal() else 0


def read_parquet(path: Path) -> Iterator[Tree]:
    """The trees of a file of Parquet, one at a time. Raises `UserError` if it holds no trees."""
    _, parquet = _pyarrow(path)
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            if "tree" not in file.schema_arrow.names:
                raise UserError(
                    f"{path} has no column 'tree'; `whorl export --format parquet` does"
                )
            for batch in file.iter_batches(batch_size=_AT_ONCE, columns=["tree"]):
                for line in batch.column("tree").to_pylist():
                    number += 1
                    yield Tree.from_json(line)
    except (ValueError, TypeError, OSError) as error:  # Arrow's are among them
        what = " ".join(str(error).split())
        raise UserError(f"{path}, row {number}: {what}") from error


def _pyarrow(path: Path) -> tuple[Any, Any]:
    try:
        import pyarrow  # type: ignore[import-untyped]
        from pyarrow import parquet
    except ImportError as error:
        raise UserError(f"{path}: Parquet needs pyarrow: pip install 'whorl[hub]'") from error
    return pyarrow, parquet

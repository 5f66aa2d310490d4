"""Loading data sets of problems, from the Hugging Face Hub or from a folder that holds copies."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from whorl.data import benchmarks
from whorl.data.benchmarks import Benchmark
from whorl.data.problems import OnSkip, collect, read_problems
from whorl.data.rows import Row
from whorl.errors import UserError
from whorl.problem import Problem

ENDINGS = (".jsonl", ".jsonl.gz", ".csv", ".parquet")


def load_benchmark(
    name: str, *, split: str = "", at: Path | None = None, on_skip: OnSkip | None = None
) -> Iterator[Problem]:
    """The problems of one split of a data set in its order, as a stream.

    name: one of `BENCHMARKS`, or a folder in `at`.
    split: train, dev or test; if empty, train where there is one, else test.
    at: a folder that holds NAME/SPLIT.jsonl (or .jsonl.gz, .csv, .parquet) in our own fields, or
        a clone of the hub's repository under the repository's name. Without it the hub is asked.
    on_skip: told of each row that is no problem, by its number in the split, and why.

    Raises `UserError` if there is no such data set or split, or if it cannot be had.
    """
    if at is not None and (file := _file(at / name, split)):
        return read_problems(file, skip_bad=True, on_skip=on_skip)
    benchmark = benchmarks.find_benchmark(name)
    split = split or ("train" if "train" in benchmark.splits else "test")
    if split not in benchmark.splits:
        raise UserError(f"{name} has no split {split!r}; it has {' and '.join(benchmark.splits)}")
    where = benchmark.hub
    if at is not None:
        where = str(at / benchmark.hub)
        if not Path(where).is_dir():
            raise UserError(
                f"{at} holds neither {name}/{split}.jsonl nor a clone {benchmark.hub}; put one "
                "there, or leave out --at to ask the hub"
            )
    return _from_hub(benchmark, where, split, on_skip)


def _file(folder: Path, split: str) -> Path | None:
    """Our own copy of a split: a file called SPLIT in `folder`; None if there is no such file."""
    for chosen in [split] if split else ["train", "test"]:
        for ending in ENDINGS:
            if (file := folder / f"{chosen}{ending}").is_file():
                return file
    if folder.is_dir() and split:
        raise UserError(
            f"{folder} has no split {split!r}; it holds "
            f"{', '.join(sorted(path.name for path in folder.iterdir())) or 'nothing'}"
        )
    return None


def _from_hub(
    benchmark: Benchmark, where: str, split: str, on_skip: OnSkip | None
) -> Iterator[Problem]:
    def rows() -> Iterator[tuple[int, _Placed]]:
        placed = (
            (config, index, row)
            for config in benchmark.configs
            for index, row in enumerate(_rows(benchmark, where, split, config))
        )
        return enumerate(placed, start=1)

    def read(number: int, placed: _Placed) -> Problem:
        config, index, row = placed
        return benchmark.problem(row, split, config, index)

    return collect(rows(), read, where=f"{where}, {split}", skip_bad=True, on_skip=on_skip)


_Placed = tuple[str, int, Row]
"""A part of the data set, the place of a row in it, and the row."""


def _rows(benchmark: Benchmark, where: str, split: str, config: str) -> Iterator[Row]:
    """The rows of one part of a data set, memory-mapped; pictures stay undecoded."""
    try:
        import datasets  # type: ignore[import-untyped]
    except ImportError:
        raise UserError(
            "data sets of the hub need the package datasets: pip install 'whorl[hub]'"
        ) from None
    revision = None if Path(where).is_dir() else benchmark.revision
    try:
        found: Any = datasets.load_dataset(
            where, config, split=benchmark.splits[split], revision=revision
        )
    except Exception as error:  # whatever the libraries for network, files and formats raise
        what = " ".join(str(error).split())[:300]
        raise UserError(
            f"{where} ({config}, {split}) could not be loaded: {what}. If it asks for consent, "
            "give it on the hub and `hf auth login`; without a network, --at names a folder that "
            "holds a clone"
        ) from error
    for column, feature in found.features.items():
        if isinstance(feature, datasets.Image):
            found = found.cast_column(column, datasets.Image(decode=False))
    yield from found

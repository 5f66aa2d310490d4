"""Sources that commands read trees from: a run folder, a data set of Parquet, or one file."""

from pathlib import Path

from whorl.data.parquet import parquet_files, round_of
from whorl.errors import UserError
from whorl.loop.folder import RunFolder


def tree_files(source: Path, round: int = 0) -> list[Path]:
    """The files of the trees of `source`, round by round, or of one `round`. Raises `UserError` if
    there is no such round, or if `source` is a folder of another kind."""
    if not source.is_dir():
        refuse_round(source, round)
        return [source]
    tables = parquet_files(source)
    if not tables:
        return [part / "trees.jsonl" for part in RunFolder.read(source).parts(round)]
    own = [table for table in tables if round in (0, round_of(table))]
    if not own:
        rounds = dict.fromkeys(str(number) for table in tables if (number := round_of(table)))
        there = f"there are {', '.join(rounds)}" if rounds else "it has none"
        raise UserError(f"{source} has no round {round}; {there}")
    return own


def refuse_round(source: Path, round: int) -> None:
    """Raises `UserError` if one `round` is asked of a single file."""
    if round:
        raise UserError(f"{source} is no folder of rounds; leave out --round {round}")

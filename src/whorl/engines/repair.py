"""A sound journal made of a damaged one: what can be read goes on, the rest is asked for again."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from shutil import copy2

from whorl.engines import row
from whorl.engines.journal import DamagedError, Journal

_SMALLEST = 64  # bytes of a row
_TOGETHER = 1000  # rows that are written at once


Tell = Callable[[str], object]
"""Who is told, a line each, which journals were repaired."""


def mend(paths: Iterable[Path], tell: Tell | None) -> None:
    """As `mended`, telling the lines; nothing is repaired without somebody to tell."""
    if tell:
        for line in mended(paths):
            tell(line)


def mended(paths: Iterable[Path]) -> Iterator[str]:
    """Repair those of the journals that are there and damaged; yields a line for each. Nobody else
    may have one open."""
    for path in filter(Path.exists, sorted(paths)):
        if (kept := repair(path)) is not None:
            yield (
                f"repaired {path}: {kept:,} answers are kept, what is missing is asked for again; "
                f"the damaged file is {path.name}.damaged"
            )


def damaged(path: Path) -> bool:
    """Whether a journal is damaged, which is seen without writing to it."""
    try:
        Journal(path, writes=False).close()
    except DamagedError:
        return True
    return False


def repair(path: Path) -> int | None:
    """Put a journal that is damaged aside, as PATH.damaged, and one with all its rows that can be
    read in its place. Returns how many these are; None if nothing is damaged.

    Raises `UserError` if the file was never a journal.
    """
    try:
        Journal(path).close()
    except DamagedError:
        pass
    else:
        return None
    unfinished, aside = (path.with_name(path.name + end) for end in (".partial", ".damaged"))
    _remove(unfinished)
    _remove(aside)
    with Journal(unfinished) as journal:
        for answers in _batches(_readable(path)):
            journal.record(answers)
        kept = len(journal)
    copy2(path, aside)
    with suppress(FileNotFoundError):  # SQLite would take it for the new file's
        path.with_name(f"{path.name}-wal").replace(f"{aside}-wal")
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    unfinished.replace(path)
    return kept


def _batches(answers: Iterable[row.Answer]) -> Iterator[list[row.Answer]]:
    """Some answers at a time, of which no two have the same name."""
    batch: dict[bytes, row.Answer] = {}
    for answer in answers:
        batch[answer[0]] = answer
        if len(batch) == _TOGETHER:
            yield list(batch.values())
            batch.clear()
    yield list(batch.values())


def _readable(path: Path) -> Iterator[row.Answer]:
    """The answers of rows that are as they were written, in the order of their numbers."""
    last = path.stat().st_size // _SMALLEST
    with closing(sqlite3.connect(path)) as database:
        with suppress(sqlite3.Error, ValueError, TypeError):
            last = int(database.execute("SELECT max(rowid) FROM answer").fetchone()[0])
        for number in range(1, last + 1):
            with suppress(sqlite3.Error, ValueError, TypeError):
                found = database.execute(f"{row.SELECT} WHERE rowid = ?", (number,)).fetchone()
                _, name, role, replies, *counts, checksum = found
                if row.checksum(name, role, replies, *counts) == checksum:
                    yield name, role.decode(), row.read(replies)


def _remove(path: Path) -> None:
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)

"""The index of a file of trees: SQLite beside it, so that a list of thousands opens at once.

It is made from the files and made anew when they are others. Nothing else in the folder is written.
"""

import json
import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import fields
from hashlib import blake2b
from operator import attrgetter
from pathlib import Path
from typing import Any

from whorl.engines.fast_json import loads
from whorl.errors import UserError
from whorl.tree import Tree
from whorl.view.facts import Facts, calibration, facts_of

VERSION = "2"
BATCH = 200  # trees in a transaction
WAIT = 60.0  # seconds for another process that writes

_COLUMNS = [field.name for field in fields(Facts)]
_values = attrgetter(*_COLUMNS)
_SCHEMA = f"""
CREATE TABLE about(name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE trees(number INTEGER PRIMARY KEY, start INTEGER, {", ".join(_COLUMNS)});
CREATE INDEX by_problem ON trees(problem, arm);
CREATE TABLE cost(role, tokens INTEGER);
CREATE TABLE calibration(kind, bin INTEGER, came REAL);
CREATE TABLE examples(problem, arm, node INTEGER, rejected INTEGER, weight REAL, start INTEGER);
CREATE INDEX by_origin ON examples(problem, arm);
CREATE TABLE dropped(problem, arm, reason, count INTEGER);
CREATE INDEX by_tree ON dropped(problem, arm)
"""
_TABLES = "SELECT name FROM sqlite_master WHERE type='table'"


class Index:
    """The index of `trees`, with what was learned from them: `examples.jsonl` beside the file, and
    `examples.dropped.jsonl`.

    Any number of threads may read; `refresh` is called by one at a time.
    """

    def __init__(self, trees: Path) -> None:
        self.trees = trees
        self._complete = threading.Event()
        self._lock = threading.Lock()
        self._file = _place(trees)

    def refresh(self) -> None:
        """Take in what the files hold now: what was appended, or everything if they are others.
        Raises `UserError` if the index cannot be written."""
        try:
            with self._lock, closing(self._connected()) as db:
                self._take_trees(db)
                self._complete.set()
                self._take(db, "examples.jsonl", "examples", _examples)
                self._take(db, "examples.dropped.jsonl", "dropped", _dropped)
        except sqlite3.Error as error:
            raise UserError(
                f"{self._file}, an index of trees, cannot be written: {error}"
            ) from error

    def ready(self, seconds: float = 0.0) -> bool:
        """Whether all trees were taken in once; waits for that so long at most."""
        return self._complete.wait(seconds)

    def read(self, query: str, *values: object) -> list[sqlite3.Row]:
        """Rows that a query finds; none before there is an index."""
        if not self._file.exists():
            return []
        with closing(sqlite3.connect(f"{self._file.absolute().as_uri()}?mode=ro", uri=True)) as db:
            db.row_factory = sqlite3.Row
            try:
                return db.execute(query, values).fetchall()
            except sqlite3.DatabaseError:  # it is made this moment, or damaged
                return []

    def tree(self, start: int) -> Tree:
        """The tree whose line begins at `start`."""
        with self.trees.open("rb") as file:
            file.seek(start)
            return Tree.from_json(file.readline().decode())

    def _connected(self) -> sqlite3.Connection:
        """The index for writing, empty unless it is of this version and of this file. Another
        process may write to it too."""
        db = sqlite3.connect(self._file, timeout=WAIT)
        try:
            self._prepare(db)
        except sqlite3.OperationalError:
            raise  # locked, or no room: it is not the file's fault
        except sqlite3.DatabaseError:
            db.close()
            self._file.unlink(missing_ok=True)
            db = sqlite3.connect(self._file, timeout=WAIT)
            self._prepare(db)
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        db.execute("PRAGMA synchronous=OFF")
        db.execute("BEGIN IMMEDIATE")
        with db:
            tables = [name for (name,) in db.execute(_TABLES)]
            known = "about" in tables and _said(db, "version") == VERSION
            if known and _said(db, "identity") == self._identity():
                return
            for table in tables:
                db.execute(f"DROP TABLE {table}")
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            _say(db, "version", VERSION)
            _say(db, "identity", self._identity())
            _say(db, "end", "0")

    def _identity(self) -> str:
        """Name of the file as it grows: its inode, and how it begins. A sorted or another file has
        another one."""
        try:
            with self.trees.open("rb") as file:
                begin = file.readline()
                node = os.fstat(file.fileno()).st_ino
        except OSError:
            return ""
        if not begin.endswith(b"\n"):
            return ""
        return f"{node} {blake2b(begin, digest_size=8).hexdigest()}"

    def _take_trees(self, db: sqlite3.Connection) -> None:
        places = ",".join("?" * (len(_COLUMNS) + 1))
        insert = f"INSERT INTO trees(start,{','.join(_COLUMNS)}) VALUES({places})"
        while True:
            begin = int(_said(db, "end") or 0)
            end, trees = _batch(self.trees, begin)
            if end == begin:
                return
            db.execute("BEGIN IMMEDIATE")
            with db:
                if int(_said(db, "end") or 0) != begin:
                    continue  # another process has taken them in
                for start, tree in trees:
                    db.execute(insert, (start, *_values(facts_of(tree))))
                    db.executemany("INSERT INTO cost VALUES(?,?)", tree.cost.items())
                    db.executemany("INSERT INTO calibration VALUES(?,?,?)", calibration(tree))
                _say(db, "end", str(end))

    def _take(
        self,
        db: sqlite3.Connection,
        name: str,
        table: str,
        rows: Callable[[Path], Iterator[tuple[object, ...]]],
    ) -> None:
        """Take in a file beside the trees, whole, if it is another one than before."""
        file = self.trees.with_name(name)
        stamp = _stamp(file)
        if _said(db, name) != stamp:
            with db:
                db.execute(f"DELETE FROM {table}")
                for row in rows(file):
                    db.execute(f"INSERT INTO {table} VALUES({','.join('?' * len(row))})", row)
                _say(db, name, stamp)


def _batch(path: Path, start: int) -> tuple[int, list[tuple[int, Tree]]]:
    """Trees of the next whole lines from `start` on, each with where it begins, and where the lines
    end; a line that is no tree is passed over."""
    trees: list[tuple[int, Tree]] = []
    end = start
    with suppress(OSError), path.open("rb") as file:
        file.seek(start)
        for line in file:
            if not line.endswith(b"\n") or len(trees) == BATCH:
                break
            with suppress(ValueError):
                trees.append((end, Tree.from_record(loads(line))))
            end += len(line)
    return end, trees


def _examples(path: Path) -> Iterator[tuple[object, ...]]:
    """Where each example came from, its weight, and where its line begins."""
    for start, row in _rows(path):
        problem, _, rest = str(row.get("origin", "")).rpartition("#")
        arm, _, nodes = rest.rpartition("/")
        node, _, rejected = nodes.partition(">")
        if node.isdecimal():
            lost = int(rejected) if rejected.isdecimal() else None
            weight = row.get("weight")
            yield problem, arm, int(node), lost, weight, start


def _dropped(path: Path) -> Iterator[tuple[object, ...]]:
    """Reasons why examples of each tree were left out, with counts."""
    for _, row in _rows(path):
        for reason, count in dict(row.get("dropped", {})).items():
            yield str(row.get("problem")), str(row.get("arm")), reason, count


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    start = 0
    with suppress(OSError), path.open("rb") as file:
        for line in file:
            with suppress(ValueError):
                row = json.loads(line)
                if isinstance(row, dict):
                    yield start, row
            start += len(line)


def _place(trees: Path) -> Path:
    """Where the index of a file lies: beside it, or in a folder of this user's where nothing may be
    written there."""
    if os.access(trees.parent, os.W_OK):
        return trees.with_suffix(".index.db")
    name = blake2b(str(trees.resolve()).encode(), digest_size=12).hexdigest()
    folder = Path(tempfile.gettempdir()) / f"whorl-view-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"{name}.db"


def _stamp(path: Path) -> str:
    try:
        stat = path.stat()
    except OSError:
        return "none"
    return f"{stat.st_ino} {stat.st_size} {stat.st_mtime_ns}"


def _said(db: sqlite3.Connection, name: str) -> str:
    found = db.execute("SELECT value FROM about WHERE name=?", (name,)).fetchone()
    return str(found[0]) if found else ""


def _say(db: sqlite3.Connection, name: str, value: str) -> None:
    db.execute("INSERT OR REPLACE INTO about VALUES(?,?)", (name, value))

"""Forests: grown trees on disk, `trees.jsonl`, one line each, streamed in and out."""

import json
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import chain
from pathlib import Path

from whorl.data.atomic import replacing, unwritable
from whorl.data.parquet import parquet_files, read_parquet
from whorl.errors import UserError
from whorl.tree import Tree

Key = tuple[str, str]
"""What tells the trees of a run apart: problem id and arm."""


def key_of(tree: Tree) -> Key:
    """Key of a tree: its problem's id, and the recipe's arm that grew it."""
    return tree.problem.id, tree.provenance.get("arm", "")


def read_trees(path: Path) -> Iterator[Tree]:
    """The trees of a file, of JSON lines or Parquet, or of a data set of Parquet, one at a time.

    A last line that breaks off, as a run leaves it that was killed or is still writing, is no tree
    yet and is passed over. Raises `UserError` with file and line number at any other broken line.
    """
    for table in (tables := parquet_files(path)):
        yield from read_parquet(table)
    if tables:
        return
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield Tree.from_json(line.decode())
                except ValueError as error:
                    if line.endswith(b"\n"):
                        raise UserError(f"{path}:{number}: {error}") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def read_keys(path: Path) -> Iterator[Key]:
    """The keys of the trees of a file, read without parsing their nodes.

    A last line that breaks off is passed over. Raises `UserError` with file and line number at
    another line that is no tree.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.endswith(b"\n"):
                    yield _checked_key(line, path, number)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


class Forest(AbstractContextManager["Forest"]):
    """The file of a run's trees, in order of arrival until `finish` sorts them. For one process.

    Trees stay on disk; memory holds where each one starts, some 250 bytes a tree.

    repaired: bytes of an unfinished last line that opening the file cut off.
    solved: ids of the problems to which a tree holds a right solution.
    """

    def __init__(self, path: Path) -> None:
        """Open `path`, or create it. Raises `UserError` at a line that is not a tree: every one is
        read whole, as `read_trees` does."""
        self.path = path
        self.repaired = 0
        self.solved: set[str] = set()
        self._starts: dict[Key, int] = {}
        try:
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise unwritable(path, error) from error
        try:
            self._end = self._index()
        except UserError:
            self.close()
            raise

    def _index(self) -> int:
        """Find the trees and cut off an unfinished line; returns where the file ends."""
        end = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    self.repaired = len(line)
                    self._file.truncate(end)
                    break
                key = self._key(line, number)
                if key in self._starts:
                    raise UserError(f"{self.path}:{number}: a second tree of {_name(key)}")
                self._starts[key] = end
                end += len(line)
        return end

    def _key(self, line: bytes, number: int, path: Path | None = None) -> Key:
        """The key of a line of a file, read whole; of this one if none is given."""
        try:
            return self._noted(Tree.from_json(line.decode()))
        except (ValueError, AttributeError) as error:
            raise UserError(
                f"{path or self.path}:{number}: {error}; delete that line, and the tree is grown "
                "again from the journal"
            ) from error

    def _noted(self, tree: Tree) -> Key:
        if any(node.reward == 1.0 for node in tree.nodes):
            self.solved.add(tree.problem.id)
        return key_of(tree)

    def __contains__(self, key: Key) -> bool:
        return key in self._starts

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[Tree]:
        return read_trees(self.path)

    def get(self, key: Key) -> Tree | None:
        """The tree of a problem and an arm, if there is one."""
        if key not in self._starts:
            return None
        with self.path.open("rb") as file:
            file.seek(self._starts[key])
            return Tree.from_json(file.readline().decode())

    def append(self, tree: Tree) -> None:
        """Append a finished tree; when the call returns, a kill of the process does not lose it.

        Raises ValueError if the forest has a tree with this key, `UserError` if it cannot be
        written.
        """
        key = key_of(tree)
        if key in self:
            raise ValueError(f"there is a tree of {_name(key)} already")
        self._write(key, tree.to_json().encode() + b"\n")
        self._noted(tree)

    def take(self, path: Path) -> None:
        """Append the lines of those trees of another file that the forest lacks. Raises `UserError`
        at a line that is no tree, a last one that breaks off aside."""
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.endswith(b"\n") and (key := self._key(line, number, path)) not in self:
                    self._write(key, line)

    def _write(self, key: Key, whole: bytes) -> None:
        line = memoryview(whole)
        written = 0
        try:
            while written < len(line):
                written += self._file.write(line[written:])
        except OSError as error:
            self._file.truncate(self._end)
            raise unwritable(self.path, error) from error
        self._starts[key] = self._end
        self._end += written

    def finish(self, order: Iterable[Key]) -> None:
        """Sort the file; trees that `order` does not name come last, by key.

        Keys without a tree are passed over. Runs that grew the same trees end with the same bytes.
        Raises `UserError` if it cannot be written; the file then stays as it was.
        """
        starts: dict[Key, int] = {}
        with self.path.open("rb") as source, replacing(self.path) as sorted_file:
            for key in chain(order, sorted(self._starts)):
                if key in self._starts and key not in starts:
                    starts[key] = sorted_file.tell()
                    source.seek(self._starts[key])
                    sorted_file.write(source.readline())
        self._file.close()
        self._file = self.path.open("ab", buffering=0)
        self._starts = starts

    def close(self) -> None:
        self._file.close()

    def __exit__(self, *error: object) -> None:
        self.close()


def _checked_key(line: bytes, path: Path, number: int) -> Key:
    """The key of a line of a file. Raises `UserError` that names the place if the line is no
    tree."""
    try:
        return _read_key(line)
    except ValueError as error:
        raise UserError(f"{path}:{number}: {error}") from error


def _read_key(line: bytes) -> Key:
    """The key of a line of `Tree.to_json`, read from its head; ValueError if it is no such line.

    The nodes, nearly all of the line, stand last. The bytes that open them cannot occur inside a
    JSON string, where a quote is escaped.
    """
    head, nodes, _ = line.partition(b',"nodes":[')
    try:
        record = json.loads(head + b"}" if nodes else line)
        return record["problem"]["id"], record["provenance"].get("arm", "")
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a tree: {error!r}") from error


def _name(key: Key) -> str:
    problem, arm = key
    return f"problem {problem!r}, arm {arm!r}" if arm else f"problem {problem!r}"

"""Every reply kept on disk before it is used, so that a run can be killed at any moment and go on.

A search is a function of its replies: replayed from the journal, it asks no model anything until it
comes to where it was.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import groupby
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any

from whorl.ask import Ask, Engine, Failure, Replies, Reply, digest, made
from whorl.budget import Usage
from whorl.engines.names import Names
from whorl.errors import UserError
from whorl.fast_json import dumps, loads

_APPLICATION = 0x77686F72  # "whor": tells a journal from any other SQLite file
_VERSION = 4

# Rows stand in the order of arrival, so a run only appends. The table has no index of names: it
# would be written at random, which takes three times as long as all the rest. `Names` has them.
_SCHEMA = """
CREATE TABLE answer (
    row INTEGER PRIMARY KEY,
    ask BLOB NOT NULL,              -- digest of the ask, 16 bytes; no two rows have the same
    role TEXT NOT NULL,
    replies BLOB NOT NULL,          -- as `_row` writes them
    tokens INTEGER NOT NULL,        -- of all replies together, as the next two
    prompt_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL
)
"""
_INSERT = "INSERT INTO answer VALUES (?, ?, ?, ?, ?, ?, ?)"
_LAST = "SELECT coalesce(max(row), 0) FROM answer"
_DELETE = "DELETE FROM answer WHERE row = ?"
_SELECT = "SELECT replies FROM answer WHERE row = ?"
_USAGE = """
SELECT role, count(*), sum(tokens), sum(prompt_tokens), sum(cached_tokens)
FROM answer WHERE role <> 'judge' GROUP BY role
"""

# In version 3 the name was the key. Before there was a row for each reply, and in version 1 it did
# not know the prompt.
_UNKEYED = """
INSERT INTO answer
SELECT rowid, ask, role, replies, tokens, prompt_tokens, cached_tokens FROM keyed
"""
_EARLIER = """
SELECT ask, role, text, finished, tokens, value, logprob, {prompt} FROM reply ORDER BY ask, slot
"""
_PROMPT = {1: "0, 0", 2: "prompt_tokens, cached_tokens"}

_FIELDS = attrgetter(
    "text", "finished", "tokens", "value", "logprob", "prompt_tokens", "cached_tokens"
)
_INFINITE = {float("inf"), float("-inf")}

_Answer = tuple[bytes, str, Replies]
"""What is recorded: an ask's digest and role, and the replies to it."""


class Journal(AbstractContextManager["Journal"]):
    """An SQLite file with one row per ask that was answered. For one process and one thread.
    Memory does not grow with it, see `Names`.

    An ask is known by its `digest`, which does not name the model: asks of different models under
    one role need different journals. It is answered as a whole; where only some of its samples
    could be made those are kept, and the next time the others are asked for.

    asked: asks passed on to an engine by this process.
    recalled: asks answered without one, from the record or by an equal ask in flight.
    """

    def __init__(self, path: Path) -> None:
        """Open `path`, or create it. Raises `UserError` if it is not a journal we can use."""
        self.path = path
        self.asked = 0
        self.recalled = 0
        try:
            self._database = sqlite3.connect(path)
        except sqlite3.Error as error:
            raise UserError(f"the journal {path} cannot be opened: {error}") from error
        try:
            fault = self._prepare()
            if not fault:
                self._names = Names(self._database)
                (self._last,) = self._database.execute(_LAST).fetchone()
        except sqlite3.Error as error:
            fault = str(error)
        if fault:
            self.close()
            raise UserError(f"the journal {path} cannot be used: {fault}")

    def _prepare(self) -> str:
        """Make an empty file a journal; otherwise say what keeps us from using it."""
        version, application, tables = (
            self._database.execute(query).fetchone()[0]
            for query in (
                "PRAGMA user_version",
                "PRAGMA application_id",
                "SELECT count(*) FROM sqlite_master",
            )
        )
        if application != _APPLICATION and (tables or application or version):
            return "it is an SQLite file, but not a journal"
        if version > _VERSION:
            return "it was written by a newer whorl; upgrade whorl"
        # In WAL mode NORMAL survives the death of the process; a power cut may lose the last
        # replies, which are then asked again, but never damages the file.
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        if version < _VERSION:
            with self._database:
                self._database.execute("BEGIN")
                if version == 3:
                    self._database.execute("ALTER TABLE answer RENAME TO keyed")
                self._database.execute(_SCHEMA)
                if version == 3:
                    self._database.execute(_UNKEYED)
                    self._database.execute("DROP TABLE keyed")
                elif tables:
                    earlier = self._database.execute(_EARLIER.format(prompt=_PROMPT[version]))
                    self._database.executemany(_INSERT, _converted(earlier))
                    self._database.execute("DROP TABLE reply")
                self._database.execute(f"PRAGMA application_id = {_APPLICATION}")
                self._database.execute(f"PRAGMA user_version = {_VERSION}")
        return ""

    def wrap(self, engine: Engine) -> Engine:
        """An engine that answers from the record what it can, and records the rest."""
        return _Recorded(self, engine)

    def recall(self, name: bytes) -> Replies:
        """The replies recorded under an ask's digest, in order; empty if there are none. Raises
        `UserError` if they cannot be read."""
        try:
            row = self._names.find(name, self._last)
            if row is None:
                return ()
            (replies,) = self._database.execute(_SELECT, (row,)).fetchone()
        except sqlite3.OperationalError as error:
            raise UserError(f"the journal {self.path} cannot be read: {error}") from error
        return _decode(replies)

    def usage(self) -> Iterator[tuple[str, Usage]]:
        """What the models on record were asked and have answered, by role; judges are left out.
        Before version 2 the prompts' tokens were not recorded."""
        for role, *counts in self._database.execute(_USAGE):
            yield role, Usage(*counts)

    def record(self, answers: Sequence[_Answer]) -> None:
        """Keep all of `answers`, in which no name comes twice, or none of them; what a name had
        before gives way. Raises `UserError` if they cannot be kept."""
        rows = {name: number for number, (name, _, _) in enumerate(answers, self._last + 1)}
        try:
            again = [name for name in rows if self._names.add(name)]
            earlier = [
                (row,) for name in again if (row := self._names.find(name, self._last)) is not None
            ]
            with self._database:
                self._database.executemany(_INSERT, map(_row, rows.values(), answers))
                if earlier:
                    self._database.executemany(_DELETE, earlier)
        except sqlite3.OperationalError as error:
            raise UserError(
                f"the journal {self.path} cannot be written: {error}; nothing recorded is lost: "
                "put that right, then give the same command again"
            ) from error
        self._last += len(answers)

    def close(self) -> None:
        """Fold the write-ahead log into the file and close it. May be called twice."""
        self._database.close()

    def __exit__(self, *error: object) -> None:
        self.close()


class _Recorded:
    """An engine seen through a journal."""

    def __init__(self, journal: Journal, engine: Engine) -> None:
        self._journal = journal
        self._engine = engine
        self._known: list[tuple[int, Replies]] = []
        self._asked: dict[int, tuple[bytes, Ask, Replies]] = {}  # with the samples on record
        self._sharing: dict[bytes, list[int]] = {}  # tickets that one answer will settle

    def submit(self, ticket: int, ask: Ask) -> None:
        name = bytes.fromhex(digest(ask))
        if name in self._sharing:
            self._journal.recalled += 1
            self._sharing[name].append(ticket)
            return
        known = self._journal.recall(name)
        if len(known) >= ask.n:
            self._journal.recalled += 1
            self._known.append((ticket, known))
            return
        self._journal.asked += 1
        self._asked[ticket] = name, ask, known
        self._sharing[name] = [ticket]
        self._engine.submit(ticket, _rest(ask, len(known)))

    def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
        answers: list[tuple[int, Replies | Failure]] = [*self._known]
        self._known.clear()
        if not self._asked:
            return answers
        fresh: list[_Answer] = []
        for ticket, answer in self._engine.poll(0.0 if answers else timeout):
            name, ask, known = self._asked.pop(ticket)
            answer = _recordable(answer)
            replies = known + made(answer)
            if len(replies) > len(known):
                fresh.append((name, ask.role, replies))
            whole = answer if isinstance(answer, Failure) else replies
            answers += [(sharer, whole) for sharer in self._sharing.pop(name)]
        if fresh:
            self._journal.record(fresh)
        return answers

    def close(self) -> None:
        self._engine.close()


def _rest(ask: Ask, known: int) -> Ask:
    """What is missing of an ask, under seeds that none of its `known` samples can have had: n
    seeds stand behind an ask, and what is missing now is less than what was missing before."""
    return replace(ask, n=ask.n - known, seed=ask.seed + ask.n * known) if known else ask


def _recordable(answer: Replies | Failure) -> Replies | Failure:
    """SQLite keeps NaN as NULL, and then the replay would not be what the search has seen."""
    for reply in made(answer):
        if reply.value != reply.value or reply.logprob != reply.logprob:
            return Failure("the engine answered with a value that is not a number")
    return answer


def _row(number: int, answer: _Answer) -> tuple[int, bytes, str, bytes, int, int, int]:
    """The replies are JSON, a list for each: lone surrogates are kept, and 1.0 does not come back
    as 1."""
    name, role, replies = answer
    said = [*map(_FIELDS, replies)]
    _, _, tokens, values, logprobs, prompt, cached = zip(*said, strict=True)
    finite = _INFINITE.isdisjoint(values) and _INFINITE.isdisjoint(logprobs)
    encoded = dumps(said) if finite else json.dumps(said).encode()  # as no JSON has it
    return number, name, role, encoded, sum(tokens), sum(prompt), sum(cached)


def _converted(earlier: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Rows of this version from those of an earlier one, which stand in the order of asks."""
    asks = groupby(earlier, key=itemgetter(0, 1))
    for number, ((name, role), rows) in enumerate(asks, 1):
        replies = (
            Reply(text.decode("utf-8", "surrogatepass"), *rest) for _, _, text, *rest in rows
        )
        yield _row(number, (name, role, tuple(replies)))


def _decode(replies: bytes) -> Replies:
    return tuple(Reply(*fields) for fields in loads(replies))

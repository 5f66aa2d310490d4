"""Every reply kept on disk before it is used, so that a run can be killed at any moment and go on.

A search is a function of its replies: replayed from the journal, it asks no model anything until it
comes to where it was.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from whorl.ask import Ask, Engine, Failure, Replies, Reply, digest, made
from whorl.budget import Usage
from whorl.errors import UserError

_APPLICATION = 0x77686F72  # "whor": tells a journal from any other SQLite file
_VERSION = 2

# The rows stand in the order of arrival, so a long run appends; the key is an index beside them.
_SCHEMA = """
CREATE TABLE reply (
    ask BLOB NOT NULL,       -- digest of the ask, 16 bytes
    slot INTEGER NOT NULL,   -- which of the ask's n samples
    role TEXT NOT NULL,
    text BLOB NOT NULL,      -- UTF-8; lone surrogates are kept
    finished TEXT NOT NULL,
    tokens INTEGER NOT NULL,
    value,                   -- no type, so that 1.0 does not come back as 1
    logprob,
    prompt_tokens INTEGER NOT NULL DEFAULT 0,
    cached_tokens INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (ask, slot)
)
"""
_SINCE_2 = ("prompt_tokens", "cached_tokens")
_INSERT = "INSERT OR REPLACE INTO reply VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SELECT = """
SELECT text, finished, tokens, value, logprob, prompt_tokens, cached_tokens
FROM reply WHERE ask = ? ORDER BY slot
"""
_USAGE = """
SELECT role, sum(slot = 0), sum(tokens), sum(prompt_tokens), sum(cached_tokens)
FROM reply WHERE role <> 'judge' GROUP BY role
"""


class Journal:
    """An SQLite file with one row per reply. For one process and one thread.

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
        if not tables or version < _VERSION:
            with self._database:
                self._database.execute("BEGIN")
                if not tables:
                    self._database.execute(_SCHEMA)
                    self._database.execute(f"PRAGMA application_id = {_APPLICATION}")
                else:
                    for name in _SINCE_2:
                        column = f"{name} INTEGER NOT NULL DEFAULT 0"
                        self._database.execute(f"ALTER TABLE reply ADD COLUMN {column}")
                self._database.execute(f"PRAGMA user_version = {_VERSION}")
        return ""

    def wrap(self, engine: Engine) -> Engine:
        """An engine that answers from the record what it can, and records the rest."""
        return _Recorded(self, engine)

    def recall(self, name: bytes) -> Replies:
        """The replies recorded under an ask's digest, in order; empty if there are none."""
        rows = self._database.execute(_SELECT, (name,))
        return tuple(Reply(_decode(text), *rest) for text, *rest in rows)

    def usage(self) -> Iterator[tuple[str, Usage]]:
        """What the models on record were asked and have answered, by role; judges are left out.
        Before version 2 the prompts' tokens were not recorded."""
        for role, *counts in self._database.execute(_USAGE):
            yield role, Usage(*counts)

    def record(self, answers: Iterable[tuple[bytes, str, Replies]]) -> None:
        """Keep `(digest, role, replies)`, all or none. Raises `UserError` if they cannot be."""
        rows = (
            (
                *(name, slot, role, _encode(r.text), r.finished, r.tokens, r.value, r.logprob),
                *(r.prompt_tokens, r.cached_tokens),
            )
            for name, role, replies in answers
            for slot, r in enumerate(replies)
        )
        try:
            with self._database:
                self._database.executemany(_INSERT, rows)
        except sqlite3.OperationalError as error:
            raise UserError(
                f"the journal {self.path} cannot be written: {error}; nothing recorded is lost: "
                "put that right, then give the same command again"
            ) from error

    def close(self) -> None:
        """Fold the write-ahead log into the file and close it. May be called twice."""
        self._database.close()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
        fresh: list[tuple[bytes, str, Replies]] = []
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


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _decode(text: bytes) -> str:
    return text.decode("utf-8", "surrogatepass")

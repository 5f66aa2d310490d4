"""Every reply kept on disk before it is used, so that a run can be killed at any moment and go on.

A search is a function of its replies: replayed from the journal, it asks no model anything until it
comes to where it was.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from whorl.ask import Ask, Engine, Failure, Replies, digest, made
from whorl.budget import Usage
from whorl.engines import row
from whorl.errors import UserError

_APPLICATION = 0x77686F72  # "whor": tells a journal from any other SQLite file
_VERSION = 5

# Rows stand in the order of arrival, so a run only appends. The table has no index of names: it
# would be written at random, which takes three times as long as all the rest.
_INSERT = "INSERT INTO answer VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_DELETE = "DELETE FROM answer WHERE row = ?"
_SELECT = "SELECT replies FROM answer WHERE row = ?"
_USAGE = """
SELECT role, count(*), sum(tokens), sum(prompt_tokens), sum(cached_tokens)
FROM answer WHERE role <> 'judge' GROUP BY role
"""

# Before version 5 rows had no checksum, and in version 3 the name was the key. Before there was a
# row for each reply, and in version 1 it did not know the prompt.
_UNSUMMED = """
INSERT INTO answer
SELECT rowid, ask, role, replies, tokens, prompt_tokens, cached_tokens,
    checksum(ask, CAST(role AS BLOB), replies, tokens, prompt_tokens, cached_tokens)
FROM unsummed
"""
_EARLIER = """
SELECT ask, role, text, finished, tokens, value, logprob, {prompt} FROM reply ORDER BY ask, slot
"""
_PROMPT = {1: "0, 0", 2: "prompt_tokens, cached_tokens"}

_TOGETHER = 1000  # rows of another journal that are recorded at once
_SHOWN = 3  # damaged rows that are named
_LONGEST = 100  # characters of what SQLite says
_DAMAGE = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
"""What SQLite says of a file that is not as it was written, and not of a disk or a lock."""


class DamagedError(UserError):
    """A journal that is not as it was written; `whorl.engines.repair` makes a sound one of it."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(path, what)  # by which it is made again where it is sent to
        self.path, self.what = path, " ".join(what.split())[:_LONGEST]

    def __str__(self) -> str:
        return (
            f"the journal {self.path} is damaged: {self.what}; the same command with --repair asks "
            "anew for what cannot be read, or put a copy of the file in its place"
        )


class Journal(AbstractContextManager["Journal"]):
    """An SQLite file with one row per ask that was answered. For one process and one thread.

    It knows the names of what was on record when it was opened, at some 150 bytes each. What is
    recorded after that is looked up by nobody: seeds stand for (run, search, ordinal), so no search
    of one process asks what another one asked. So memory does not grow with a run.

    Every row has a checksum, and all are looked at when the file is opened: what is damaged is
    never used.

    An ask is known by its `digest`, which does not name the model: asks of different models under
    one role need different journals. It is answered as a whole; where only some of its samples
    could be made those are kept, and the next time the others are asked for.

    asked: asks passed on to an engine by this process.
    recalled: asks answered without one, from the record or by an equal ask in flight.
    earlier: journals whose record answers too; they are not written to.
    """

    def __init__(self, path: Path, *, writes: bool = True, earlier: Sequence["Journal"] = ()):
        """Open `path`, or create it; not if it is only read, when nobody may write to it either.
        Raises `UserError` if it is not a journal we can use, and `DamagedError` if it was one."""
        self.path = path
        self.asked = 0
        self.recalled = 0
        self.earlier = earlier
        try:
            self._database = sqlite3.connect(path) if writes else _connect_to_read(path)
        except sqlite3.Error as error:
            raise UserError(f"the journal {path} cannot be opened: {error}") from error
        try:
            if writes:
                self._prepare()
            self._rows: dict[bytes, int] = {}
            self._last = self._learned = self._look()
        except UnicodeDecodeError as error:  # in what SQLite says of a damaged table
            self.close()
            raise DamagedError(path, "its table is not as it was made") from error
        except sqlite3.Error as error:
            self.close()
            if getattr(error, "sqlite_errorcode", None) in _DAMAGE:
                raise DamagedError(path, str(error)) from error
            raise UserError(f"the journal {path} cannot be used: {error}") from error
        except UserError:
            self.close()
            raise

    def _prepare(self) -> None:
        """Make an empty file a journal, and one of an earlier version one of this."""
        version, application, tables = (
            self._database.execute(query).fetchone()[0]
            for query in (
                "PRAGMA user_version",
                "PRAGMA application_id",
                "SELECT count(*) FROM sqlite_master",
            )
        )
        if application != _APPLICATION and (tables or application or version):
            raise UserError(f"{self.path} is an SQLite file, but not a journal")
        if version > _VERSION:
            raise UserError(f"the journal {self.path} is a newer whorl's; upgrade whorl")
        # In WAL mode NORMAL survives the death of the process; a power cut may lose the last
        # replies, which are then asked again, but never damages the file.
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        if version < _VERSION:
            self._database.create_function("checksum", 6, row.checksum_of_earlier)
            with self._database:
                self._database.execute("BEGIN")
                if version > 2:
                    self._database.execute("ALTER TABLE answer RENAME TO unsummed")
                self._database.execute(row.SCHEMA)
                if version > 2:
                    self._database.execute(_UNSUMMED)
                    self._database.execute("DROP TABLE unsummed")
                elif tables:
                    earlier = self._database.execute(_EARLIER.format(prompt=_PROMPT[version]))
                    self._database.executemany(_INSERT, row.converted(earlier))
                    self._database.execute("DROP TABLE reply")
                self._database.execute(f"PRAGMA application_id = {_APPLICATION}")
                self._database.execute(f"PRAGMA user_version = {_VERSION}")

    def _look(self) -> int:
        """Learn the names of all rows; returns the last row. Raises `DamagedError` if one is not as
        it was written, or if rows may be missing."""
        with closing(sqlite3.connect(":memory:")) as model:
            model.execute(row.SCHEMA)
            if _columns(self._database) != _columns(model):
                raise DamagedError(self.path, "its table is not as it was made")
        damaged: list[int] = []
        last = 0
        for number, name, *said, checksum in self._database.execute(row.SELECT):
            last = max(last, number)
            if row.checksum(name, *said) == checksum:
                self._rows[name] = number
            else:
                damaged.append(number)
        if damaged:
            shown = ", ".join(f"row {number}" for number in damaged[:_SHOWN])
            more = f" and {len(damaged) - _SHOWN:,} more" if len(damaged) > _SHOWN else ""
            raise DamagedError(self.path, f"{shown}{more} of {len(self._rows) + len(damaged):,}")
        (fault,) = self._database.execute("PRAGMA quick_check(1)").fetchone()
        if fault != "ok":
            raise DamagedError(self.path, fault)
        return last

    def __len__(self) -> int:
        """Asks on record."""
        (count,) = self._database.execute("SELECT count(*) FROM answer").fetchone()
        return int(count)

    def wrap(self, engine: Engine) -> Engine:
        """An engine that answers from the record what it can, and records the rest."""
        return Recorded(self, engine)

    def recall(self, name: bytes) -> Replies:
        """The replies recorded under an ask's digest, in order; empty if there are none."""
        number = self._rows.get(name)
        earlier = max((each.recall(name) for each in self.earlier), key=len, default=())
        if number is None:
            return earlier
        return max(self._read(number), earlier, key=len)

    def _read(self, number: int) -> Replies:
        """The replies in a row."""
        try:
            (replies,) = self._database.execute(_SELECT, (number,)).fetchone()
            return row.read(replies)
        except (sqlite3.DatabaseError, ValueError, TypeError) as error:
            if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) in _DAMAGE:
                raise DamagedError(self.path, f"row {number}") from error
            raise UserError(f"the journal {self.path} cannot be read: {error}") from error

    def answers(self) -> Iterator[row.Answer]:
        """All that is on record in this journal, in the order in which it was recorded."""
        for _, name, role, replies, *_ in self._database.execute(f"{row.SELECT} ORDER BY rowid"):
            yield name, role.decode(), row.read(replies)

    def learn(self) -> None:
        """Learn the names of what was recorded since the journal was opened, so that it is recalled
        as well. That is for asks that are asked again by another process than the one that died."""
        query = f"SELECT ask, rowid FROM answer WHERE rowid > {self._learned}"
        self._rows.update(self._database.execute(query))
        self._learned = self._last

    def absorb(self, answers: Iterable[row.Answer]) -> None:
        """Record those of `answers` that the journal has not, or of which it has fewer replies; in
        an order that depends on both alone."""
        self.learn()
        batch: dict[bytes, row.Answer] = {}
        for answer in answers:
            name, _, replies = answer
            known = batch[name][2] if name in batch else self.recall(name)
            if len(replies) > len(known):
                batch[name] = answer
            if len(batch) == _TOGETHER:
                self.record([*batch.values()])
                self.learn()
                batch.clear()
        if batch:
            self.record([*batch.values()])

    def usage(self) -> Iterator[tuple[str, Usage]]:
        """What the models on record were asked and have answered, by role; judges are left out.
        Before version 2 the prompts' tokens were not recorded."""
        for role, *counts in self._database.execute(_USAGE):
            yield role, Usage(*counts)

    def record(self, answers: Sequence[row.Answer]) -> None:
        """Keep all of `answers`, in which no name comes twice, or none of them; what a name had
        before gives way. Raises `UserError` if they cannot be kept."""
        rows = {name: number for number, (name, _, _) in enumerate(answers, self._last + 1)}
        try:
            again = rows.keys() & self._rows.keys()
            earlier = [(self._rows[name],) for name in again]
            with self._database:
                self._database.executemany(_INSERT, map(row.write, rows.values(), answers))
                if earlier:
                    self._database.executemany(_DELETE, earlier)
        except sqlite3.OperationalError as error:
            raise UserError(
                f"the journal {self.path} cannot be written: {error}; nothing recorded is lost: "
                "put that right, then give the same command again"
            ) from error
        self._rows.update((name, rows[name]) for name in again)
        self._last += len(answers)

    def close(self) -> None:
        """Fold the write-ahead log into the file and close it. May be called twice."""
        self._database.close()

    def __exit__(self, *error: object) -> None:
        self.close()


def _connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that needs no locks, which network file systems may lack."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)


def _columns(database: sqlite3.Connection) -> list[tuple[object, ...]]:
    return database.execute("PRAGMA table_info(answer)").fetchall()


class Record(Protocol):
    """What replies are recalled from and recorded in: a journal, or what stands for one."""

    asked: int
    recalled: int

    def recall(self, name: bytes) -> Replies:
        """The replies recorded under an ask's digest."""

    def record(self, answers: Sequence[row.Answer]) -> None:
        """Keep `answers`."""


class Recorded:
    """An engine seen through a journal, or another record: answers from it what it can, and records
    the rest."""

    def __init__(self, journal: Record, engine: Engine) -> None:
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
        fresh: list[row.Answer] = []
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

"""Workers of a cluster: a process somewhere, with engines of its own, that runs what it is lent."""

import os
import pickle
import platform
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from whorl.ask import Ask, Asking, Engine, Failure, Replies, Role
from whorl.budget import SPENT, is_paid
from whorl.drive import Finished, drive
from whorl.engines import row
from whorl.engines.cluster.replica import NAME, STARTING, answers
from whorl.engines.cluster.sources import sources
from whorl.engines.journal import Recorded
from whorl.engines.meter import Meter
from whorl.engines.model import find_model
from whorl.engines.roles import Engines, Opened
from whorl.engines.server.transport import OutOfReachError
from whorl.engines.spec import Spec
from whorl.errors import UserError

TOGETHER = 0.25  # seconds that replies wait for others before they are sent
BEAT = 2.0  # seconds after which a worker that has nothing to send says so


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker opens: engines and the roles that they are asked in (all that are named if
    empty), in the folder in which the command was given.

    probe: a file that it should find there, with this text in it; none if nothing has to be shared.
    served: where the servers are that the run started, by the engine that names them.
    """

    engines: Engines
    roles: tuple[Role, ...]
    folder: str
    probe: tuple[str, str] | None = None
    served: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def reached(self) -> Engines:
        """The engines as this machine reaches them. Raises `UserError` if the tokenizer of a model
        that is served cannot be had here."""
        there: dict[str, Any] = {
            role: _at(self.served[name], find_model(name).folder)
            for role, name in self.engines.named().items()
            if name in self.served
        }
        return replace(self.engines, **there)


def _at(urls: Sequence[str], tokenizer: Path) -> str:
    # one that ended is on its way back, or the driver says that it is not
    query = urlencode({"model": NAME, "tokenizer": tokenizer, "patience": STARTING})
    return str(Spec("server", ",".join(urls), query))


@dataclass(frozen=True, slots=True)
class Lease:
    """A search that is lent: its key, what begins it (pickled), and replies to its asks that are on
    record."""

    key: str
    begin: bytes
    known: Sequence[row.Answer] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """What a worker sends home, some moments' worth: replies to be recorded, then searches that
    ended.

    counts: tokens, prompt_tokens, cached_tokens and in_flight of its engines, and asks recalled,
    since the stage began.
    """

    rows: Sequence[row.Answer]
    ended: Sequence[Finished[Any]]
    counts: Mapping[str, int]


class Relay:
    """The record of a worker, as its engines are wrapped in it: recalls what came with leases, and
    sends home what is recorded."""

    def __init__(self, send: Callable[[Sequence[row.Answer]], None]) -> None:
        self.asked = self.recalled = 0
        self._send = send
        self._known: dict[bytes, Replies] = {}

    def learn(self, known: Sequence[row.Answer]) -> None:
        """Know what is on record at home."""
        self._known.update((name, replies) for name, _, replies in known)

    def recall(self, name: bytes) -> Replies:
        """The replies under an ask's digest; each is asked for once."""
        return self._known.pop(name, ())

    def record(self, answers: Sequence[row.Answer]) -> None:
        """Send `answers` home."""
        self._send(answers)


@dataclass(slots=True)
class _Gate:
    """An engine that can be closed: what would have to be paid then fails, as the budget is
    spent."""

    engine: Engine
    closed: threading.Event
    refused: list[int] = field(default_factory=list)

    def submit(self, ticket: int, ask: Ask) -> None:
        if self.closed.is_set() and is_paid(ask):
            self.refused.append(ticket)
        else:
            self.engine.submit(ticket, ask)

    def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
        refused, self.refused = self.refused, []
        answers = self.engine.poll(0.0 if refused else timeout)
        return [*((ticket, SPENT) for ticket in refused), *answers]

    def close(self) -> None:
        self.engine.close()


class _Stage:
    """A stage of a worker: what it is lent and has not begun, None at the end, and whether the
    budget has ended."""

    def __init__(self) -> None:
        self.leases: queue.SimpleQueue[Lease | None] = queue.SimpleQueue()
        self.spent = threading.Event()


class Worker:
    """A worker, as an actor of Ray: `ready` whenever other engines are wanted, then for each stage
    `work` and, beside it, `lend` until `finish`. These run in threads of their own, so they come in
    any order."""

    def __init__(self) -> None:
        self._roles: tuple[Role, ...] = ()
        self._opened: Opened | None = None
        self._stages: defaultdict[int, _Stage] = defaultdict(_Stage)
        self._lock = threading.Lock()

    def ready(self, setup: Setup) -> dict[str, str]:
        """Open engines, or let those that are open go on as these; returns what this worker is.
        `error` is why it cannot work, if it cannot."""
        said = {"node": platform.node(), "pid": str(os.getpid()), **sources(), "error": ""}
        try:
            self._open_patiently(setup)
        except UserError as error:
            said["error"] = str(error)
        except Exception as error:
            said["error"] = f"{type(error).__name__}: {error}"
        return said

    def _open_patiently(self, setup: Setup) -> None:
        """Open engines, as soon as all servers that the run started answer: one that ended is on
        its way back, and would be left out for as long as these engines are open."""
        urls = {url for urls in setup.served.values() for url in urls}
        end = time.monotonic() + STARTING
        while True:
            late = time.monotonic() > end
            try:
                if late or all(map(answers, urls)):
                    self._open(setup)
                    return
            except OutOfReachError:
                if late or not urls:
                    raise
            time.sleep(BEAT)

    def _open(self, setup: Setup) -> None:
        if Path(setup.folder).is_dir():
            os.chdir(setup.folder)
        if setup.probe:
            path, text = setup.probe
            try:
                found = Path(path).read_text(encoding="utf-8")
            except OSError:
                found = ""
            if found != text:
                raise UserError(
                    f"it does not see {Path(path).parent}: models that a run trains have to lie on "
                    "storage that all machines of the cluster share"
                )
        self._roles = setup.roles
        engines = setup.reached()
        self._opened = self._opened or Opened(engines)
        self._opened.follow(engines)
        self._opened.by_role(*setup.roles)

    def lend(self, stage: int, leases: Sequence[Lease]) -> None:
        """Take searches."""
        for lease in leases:
            self._of(stage).leases.put(lease)

    def spend(self, stage: int) -> None:
        """Ask models nothing more, as the budget of the run has ended."""
        self._of(stage).spent.set()

    def finish(self, stage: int) -> None:
        """Take no more searches: those that are lent end, and so does `work`."""
        self._of(stage).leases.put(None)

    def _of(self, stage: int) -> _Stage:
        with self._lock:
            return self._stages[stage]

    def work(self, stage: int, seed: int, width: int) -> Iterator[Batch]:
        """Run what is lent in a stage of a run seeded `seed`, at most `width` searches at once;
        yields what is to go home as it comes about."""
        own = self._of(stage)
        assert self._opened is not None
        out: queue.SimpleQueue[Sequence[row.Answer] | Finished[Any] | BaseException | None]
        out = queue.SimpleQueue()
        relay = Relay(out.put)
        engines = self._opened.by_role(*self._roles)
        meters = {id(engine): Meter(engine) for engine in engines.values()}
        wrapped = {key: Recorded(relay, _Gate(each, own.spent)) for key, each in meters.items()}
        by_role = {role: wrapped[id(engine)] for role, engine in engines.items()}
        begun = _begun(own.leases, relay)

        def run() -> None:
            """Run searches as they are lent: `drive` reads them when it is told that there are
            some, and waits for them when it has nothing else to do."""
            try:
                room = own.leases.qsize
                for finished in drive(
                    begun, by_role, width=width, seed=seed, lasts_for=lambda n: max(1, n + room())
                ):
                    out.put(finished)
            except BaseException as error:
                out.put(error)
            out.put(None)

        threading.Thread(target=run, daemon=True).start()
        going = True
        while going:
            rows: list[row.Answer] = []
            ended: list[Finished[Any]] = []
            for item in _gathered(out):
                if item is None:
                    going = False
                elif isinstance(item, BaseException):
                    raise item
                elif isinstance(item, Finished):
                    ended.append(item)
                else:
                    rows += item
            names = ("tokens", "prompt_tokens", "cached_tokens", "in_flight")
            counts = {name: sum(getattr(m, name) for m in meters.values()) for name in names}
            yield Batch(rows, ended, counts | {"recalled": relay.recalled})

    def close(self) -> None:
        """Close the engines."""
        if self._opened is not None:
            self._opened.__exit__()


def _begun(
    leases: "queue.SimpleQueue[Lease | None]", relay: Relay
) -> Iterator[tuple[str, Asking[Any]]]:
    """Searches as they are lent."""
    while (lease := leases.get()) is not None:
        try:
            moves = pickle.loads(lease.begin)()
        except Exception as error:
            moves = _failing(f"{platform.node()} cannot begin it", error)
        relay.learn(lease.known)
        yield lease.key, moves


def _failing(why: str, error: Exception) -> Asking[Any]:
    """A search that fails at once."""
    raise UserError(f"{why}: {type(error).__name__}: {error}")
    yield ()


def _gathered(out: "queue.SimpleQueue[Any]") -> Iterator[Any]:
    """What comes together; nothing if nothing comes for a while."""
    end = time.monotonic() + BEAT
    while (left := end - time.monotonic()) > 0:
        try:
            item = out.get(timeout=left)
        except queue.Empty:
            return
        yield item
        if item is None or isinstance(item, BaseException):
            return
        end = min(end, time.monotonic() + TOGETHER)

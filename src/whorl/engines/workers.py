"""An engine in processes of its own, with one thread each, so that models run beside the search and
beside each other."""

import logging
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import current_process, get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TextIO, TypeAlias, cast

from whorl.ask import Ask, Engine, Failure, Lasting, Replies
from whorl.engines.affinity import home, question
from whorl.engines.spec import Spec
from whorl.errors import UserError, Visible

LOG = logging.getLogger("whorl.engines")

_Answers = Sequence[tuple[int, Replies | Failure]]


@dataclass(frozen=True, slots=True)
class _Reload:
    """The child's engine is to go on with another model; without one it is to rest. Answered by
    whether it does."""

    folder: Path | None = None


_Sent: TypeAlias = list[tuple[int, Ask]] | _Reload

_START_SECONDS = 3600.0  # importing torch and reading the weights, hundreds of GB perhaps
_STOP_SECONDS = 5.0
_DEATHS = 3  # of a process over one ask, after which that is given up
_IN_A_ROW = 10  # deaths without an answer in between, after which a process is not started again


@dataclass(slots=True)
class _Asked:
    """An ask that waits for its answer, and how many processes have died over it."""

    ask: Ask
    deaths: int = 0


@dataclass(slots=True, eq=False)
class _Worker:
    """A process. open: the asks that it has or is to have, by ticket. unsent: those of them that it
    has not. started: it has said that its engine is open. deaths: since its last answer. given_up:
    it is not started again."""

    process: BaseProcess
    pipe: Connection
    open: dict[int, _Asked] = field(default_factory=dict)
    unsent: list[int] = field(default_factory=list)
    started: bool = False
    deaths: int = 0
    given_up: bool = False


class Workers:
    """The engine that `open_engine(spec, processes=0)` opens, in each of `processes` processes.

    Asks about one problem go to one process, whose cache knows the problem, unless that one has
    far more to do than another. A process that dies is started again, and asked again what it had
    not answered: of asks that two processes died over one at a time, so that the third death names
    the ask that is to fail. One that cannot be started again leaves its asks to the others. It is
    `Lasting` as far as the engine is. Raises `UserError` if a process cannot open the engine.
    """

    def __init__(self, spec: str, *, processes: int = 1) -> None:
        if processes < 1:
            raise UserError(f"an engine needs at least one process, not {processes}")
        self._spec = spec
        self._failed: list[tuple[int, Failure]] = []
        self._trouble = ""  # why a process could not be started again
        self._workers = [_spawn(spec) for _ in range(processes)]
        for worker in self._workers:
            error = _first_word(spec, worker)
            if error is not None:
                self.close()
                raise UserError(f"{spec}: {error}")

    def submit(self, ticket: int, ask: Ask) -> None:
        self._hand(ticket, _Asked(ask))

    def _hand(self, ticket: int, asked: _Asked) -> None:
        """Give an ask to a process, if there is one."""
        alive = [worker for worker in self._workers if not worker.given_up]
        if not alive:
            why = f": {self._trouble}" if self._trouble else ""
            self._failed.append((ticket, Failure(f"no process of {self._spec} is left{why}")))
            return
        worker = home(question(asked.ask.prompt), alive, lambda worker: len(worker.open))
        worker.open[ticket] = asked
        worker.unsent.append(ticket)

    def poll(self, timeout: float) -> _Answers:
        answers: list[tuple[int, Replies | Failure]] = []
        busy = {worker.pipe: worker for worker in self._workers if worker.open}
        for worker in busy.values():
            _send(worker)
        for pipe in wait(list(busy), 0.0 if self._failed else timeout):
            worker = busy[pipe]  # type: ignore[index]
            try:
                while worker.pipe.poll():
                    answers += self._received(worker)
            except (EOFError, OSError):
                self._lost(worker)
        failed, self._failed = self._failed, []
        return [*failed, *answers]

    def _received(self, worker: _Worker) -> _Answers:
        """What a process says: first whether its engine is open, then answers. Raises EOFError if
        it will say no more."""
        said = worker.pipe.recv()
        if not worker.started:
            self._trouble, worker.started = said or "", said is None
            if self._trouble:
                raise EOFError
            return ()
        answers: _Answers = said
        for ticket, _ in answers:
            del worker.open[ticket]
        worker.deaths = 0
        return answers

    @property
    def lost(self) -> bool:
        return any(worker.process.exitcode is not None for worker in self._workers)

    def rest(self) -> bool:
        return self._all(_Reload())

    def reload(self, folder: Path) -> bool:
        followed = self._all(_Reload(folder))
        if followed:  # a process that dies is started with this model
            self._spec = str(replace(Spec.read(self._spec), place=str(folder)))
        return followed

    def _all(self, order: _Reload) -> bool:
        """Whether every process has followed the order."""
        deadline = time.monotonic() + _START_SECONDS
        try:
            for worker in self._workers:
                worker.pipe.send(order)
            return all([_followed(worker, deadline) for worker in self._workers])
        except (EOFError, OSError):
            return False

    def close(self) -> None:
        for worker in self._workers:
            worker.pipe.close()  # the process sees it and ends
        deadline = time.monotonic() + _STOP_SECONDS
        for worker in self._workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
            if worker.process.exitcode is None:
                worker.process.kill()
                worker.process.join()
            worker.process.close()
        self._workers.clear()

    def _lost(self, worker: _Worker) -> None:
        """Start a process that has died again, and have its asks asked again."""
        code = _ended(worker)
        LOG.warning("a process of %s ended with exit code %s", self._spec, code)
        for ticket in sorted(worker.open.keys() - worker.unsent):
            worker.open[ticket].deaths += 1
            if worker.open[ticket].deaths == _DEATHS:
                del worker.open[ticket]
                died = f"a process of {self._spec} died over it {_DEATHS} times"
                self._failed.append((ticket, Failure(f"{died}, with exit code {code}")))
        worker.deaths += 1
        if not self._trouble and worker.deaths < _IN_A_ROW:
            new = _spawn(self._spec)
            worker.process, worker.pipe, worker.started = new.process, new.pipe, False
            worker.unsent = sorted(worker.open)
            return
        worker.given_up = True
        asked, worker.open, worker.unsent = worker.open, {}, []
        for ticket in sorted(asked):
            self._hand(ticket, asked[ticket])


def _spawn(spec: str) -> _Worker:
    """Start a process with one thread: OpenMP reads its setting when torch is loaded."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(spec, theirs), name=f"whorl {spec}", daemon=True)
    with _one_thread():
        process.start()
    theirs.close()
    return _Worker(process, ours)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def _first_word(spec: str, worker: _Worker) -> str | None:
    """As `_started`; a process that something kills before its first word is started again."""
    error = _started(worker, _START_SECONDS)
    for _ in range(_DEATHS - 1):
        if error is None or (worker.process.exitcode or 0) >= 0:
            break
        new = _spawn(spec)
        worker.process, worker.pipe = new.process, new.pipe
        error = _started(worker, _START_SECONDS)
    return error


def _started(worker: _Worker, seconds: float) -> str | None:
    """Wait for the worker's first word: None if it has opened its engine, else what is wrong."""
    try:
        if not worker.pipe.poll(seconds):
            return f"its process has not started within {_START_SECONDS:.0f} seconds"
        error: str | None = worker.pipe.recv()
        worker.started = error is None
        return error
    except (EOFError, OSError):
        worker.process.join(_STOP_SECONDS)
        return f"its process ended at once, with exit code {worker.process.exitcode}"


def _ended(worker: _Worker) -> int | None:
    """Make sure that a process whose pipe is at its end is gone; its exit code."""
    worker.pipe.close()
    worker.process.join(_STOP_SECONDS)
    if worker.process.exitcode is None:
        worker.process.kill()
        worker.process.join()
    return worker.process.exitcode


def _followed(worker: _Worker, deadline: float) -> bool:
    """Whether the worker says before the deadline that it has followed an order."""
    return worker.pipe.poll(max(0.0, deadline - time.monotonic())) and worker.pipe.recv() is True


def _send(worker: _Worker) -> None:
    """Hand over what is unsent; what two processes died over comes one at a time, and alone."""
    if not worker.unsent or not worker.started:
        return
    waiting = worker.unsent
    suspects = [ticket for ticket in waiting if worker.open[ticket].deaths == _DEATHS - 1]
    if suspects or any(asked.deaths == _DEATHS - 1 for asked in worker.open.values()):
        if len(worker.open) > len(waiting):
            return
        now = suspects[:1]
        worker.unsent = [ticket for ticket in waiting if ticket != now[0]]
    else:
        now, worker.unsent = waiting, []
    try:
        worker.pipe.send([(ticket, worker.open[ticket].ask) for ticket in now])
    except OSError:  # the pipe is at its end, which `poll` will read
        worker.unsent = waiting


def _serve(spec: str, pipe: Connection) -> None:
    """The child: answer until the pipe ends, which it does when the parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    current_process().daemon = False  # which may start none, as vLLM does for several GPUs
    sys.stderr = cast(TextIO, Visible(sys.stderr))  # libraries quote a model's files in warnings
    from whorl.engines import open_engine

    try:
        engine = open_engine(spec, processes=0)
    except Exception as error:  # the parent says it, as one line
        pipe.send(str(error).partition("\n")[0] or type(error).__name__)
        return
    try:
        pipe.send(None)
        _work(engine, pipe)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the parent is gone
    finally:
        engine.close()


def _work(engine: Engine, pipe: Connection) -> None:
    """Asks are received by a thread, so that the parent can send while this side is sending."""
    inbox: SimpleQueue[_Sent | None] = SimpleQueue()
    Thread(target=_receive, args=(pipe, inbox), daemon=True).start()
    unanswered = 0
    while True:
        while not unanswered or not inbox.empty():
            sent = inbox.get()
            if sent is None:
                return
            if isinstance(sent, _Reload):
                pipe.send(_follow(engine, sent))
                continue
            for ticket, ask in sent:
                engine.submit(ticket, ask)
            unanswered += len(sent)
        answers = engine.poll(0.0)
        if answers:
            unanswered -= len(answers)
            pipe.send(answers)


def _follow(engine: Engine, order: _Reload) -> bool:
    if not isinstance(engine, Lasting):
        return False
    return engine.rest() if order.folder is None else engine.reload(order.folder)


def _receive(pipe: Connection, inbox: SimpleQueue[_Sent | None]) -> None:
    try:
        while True:
            inbox.put(pipe.recv())
    except (EOFError, OSError):
        inbox.put(None)

"""An engine in processes of its own, a thread each: contended threads are several times slower."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from threading import Thread

from whorl.ask import Ask, Failure, Replies
from whorl.errors import UserError

_SERVE = "from whorl.engines.workers import serve"
_AHEAD = 64  # asks a process may have more than the idlest one before affinity gives way

Answers = Sequence[tuple[int, Replies | Failure]]


class Workers:
    """The engine that `spec` names (see `open_engine`), once in each of `processes` processes.

    The asks about one problem go to one process, where their common prefix is cached, unless that
    one is far behind. A process that dies takes its asks with it: they come back as `Failure`, and
    the others go on. Raises `UserError` from `poll` if an engine cannot be opened.
    """

    def __init__(self, spec: str, processes: int, *, threads: int = 1) -> None:
        if processes < 1:
            raise ValueError(f"workers need at least one process, not {processes}")
        self._workers = [_start(spec, threads) for _ in range(processes)]
        self._done: list[tuple[int, Replies | Failure]] = []

    def submit(self, ticket: int, ask: Ask) -> None:
        alive = [worker for worker in self._workers if worker.alive]
        if not alive:
            self._done.append((ticket, Failure("every process of the model has ended")))
            return
        # all prompts about a problem begin with the line that states it
        line = ask.prompt.user.partition("\n")[0].encode("utf-8", "surrogatepass")
        worker = alive[int.from_bytes(blake2b(line, digest_size=4).digest()) % len(alive)]
        idlest = min(alive, key=lambda worker: len(worker.tickets))
        if len(worker.tickets) > len(idlest.tickets) + _AHEAD:
            worker = idlest
        worker.tickets.add(ticket)
        worker.outbox.append((ticket, ask))

    def poll(self, timeout: float) -> Answers:
        for worker in self._workers:
            if worker.outbox and not worker.send():
                self._lose(worker)
        alive = {worker.connection: worker for worker in self._workers if worker.alive}
        if alive:
            for ready in wait(list(alive), 0.0 if self._done else timeout):
                assert isinstance(ready, Connection)
                self._hear(alive[ready])
        done, self._done = self._done, []
        return done

    def close(self) -> None:
        for worker in self._workers:
            worker.kill()
        self._done.clear()

    def _hear(self, worker: "_Worker") -> None:
        try:
            answers: Answers | str = worker.connection.recv()
        except (EOFError, OSError):
            self._lose(worker)
            return
        if isinstance(answers, str):
            raise UserError(answers)
        worker.tickets.difference_update(ticket for ticket, _ in answers)
        self._done += answers

    def _lose(self, worker: "_Worker") -> None:
        worker.kill()
        failure = Failure(f"a process of the model ended (exit code {worker.process.returncode})")
        self._done += [(ticket, failure) for ticket in sorted(worker.tickets)]
        worker.tickets.clear()
        worker.outbox.clear()


@dataclass(slots=True, eq=False)
class _Worker:
    """A process, the tickets it has, and the asks that are still to be sent to it."""

    process: "subprocess.Popen[bytes]"
    connection: Connection
    alive: bool = True
    tickets: set[int] = field(default_factory=set)
    outbox: list[tuple[int, Ask]] = field(default_factory=list)

    def send(self) -> bool:
        """Send the asks in one message; False if nobody is there."""
        try:
            self.connection.send(self.outbox)
        except OSError:
            return False
        self.outbox.clear()
        return True

    def kill(self) -> None:
        if self.alive:
            self.alive = False
            self.process.kill()
            self.process.wait()
            self.connection.close()


def _start(spec: str, threads: int) -> _Worker:
    """A fresh interpreter in a process group of its own: Ctrl-C in a terminal does not reach it."""
    here, there = socket.socketpair()
    with there:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", f"{_SERVE}; serve({there.fileno()}, {threads}, {spec!r})"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[there.fileno()],
            process_group=0,
        )
    return _Worker(process, Connection(here.detach()))


def serve(descriptor: int, threads: int, spec: str) -> None:
    """The process: open the engine, then answer asks until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = Connection(descriptor)
    inbox: SimpleQueue[list[tuple[int, Ask]]] = SimpleQueue()
    # A thread empties the pipe at all times, so that the parent's sending never waits for ours.
    Thread(target=_receive, args=(connection, inbox), daemon=True).start()

    import torch

    from whorl.engines import open_engine

    torch.set_num_threads(threads)
    try:
        engine = open_engine(spec, processes=0)
    except UserError as error:
        connection.send(str(error))
        return
    waiting = 0
    while True:
        while not waiting or not inbox.empty():
            for ticket, ask in inbox.get():
                engine.submit(ticket, ask)
                waiting += 1
        if answers := list(engine.poll(0.1)):
            waiting -= len(answers)
            connection.send(answers)


def _receive(connection: Connection, inbox: "SimpleQueue[list[tuple[int, Ask]]]") -> None:
    """Pass on what the parent sends; end the process when it is gone."""
    while True:
        try:
            inbox.put(connection.recv())
        except (EOFError, OSError):
            os._exit(0)

"""The processes that judge: one that forks and ends them, and what each of them does."""

import gc
import json
import logging
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
from multiprocessing.connection import Connection, wait
from typing import NoReturn

from whorl.answer import Conventions
from whorl.engines.judge.decide import judge

_MEMORY = 2 << 30  # bytes of address space per process
NURSE = "from whorl.engines.judge.nursery import nurse"

_ORDER = struct.Struct("!ci")  # what to do, and the process to do it to
_BEAR, _END = b"b", b"e"


class Nursery:
    """The process that loads what judging takes once, and forks and ends the judges.

    It is a fresh interpreter, so that the caller's main module is never imported a second time and
    Ctrl-C in a terminal does not reach it. It alone may end a judge: the judges are its children,
    so no other process can have got a judge's id meanwhile.
    """

    def __init__(self) -> None:
        self._control, there = socket.socketpair()
        with there:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", f"{NURSE}; nurse({there.fileno()})"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[there.fileno()],
                process_group=0,
            )

    @property
    def dead(self) -> bool:
        """Whether the process is gone. It says nothing to its parent: what can be read is an end,
        which comes before the system calls the process ended."""
        return bool(wait([self._control], 0)) or self.process.poll() is not None

    def bear(self) -> Connection:
        """The near end of a new judge's connection; should it not come up, that end is closed."""
        here, there = socket.socketpair()
        with there:
            self._tell(_BEAR, 0, [there.fileno()])
        return Connection(here.detach())

    def end(self, process: int) -> None:
        self._tell(_END, process, [])

    def close(self) -> None:
        """Ends all judges and waits for that."""
        self._control.close()
        try:
            self.process.wait(timeout=_GRACE)
        except subprocess.TimeoutExpired:  # it is still loading, and has no judges
            self.process.kill()
            self.process.wait()

    def _tell(self, order: bytes, process: int, descriptors: list[int]) -> None:
        try:
            socket.send_fds(self._control, [_ORDER.pack(order, process)], descriptors)
        except OSError:  # it is dead, and its judges with it
            self.process.wait()


_GRACE = 5.0  # seconds


def nurse(descriptor: int) -> None:
    """The nursery's process: fork and end judges as told, until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    memory = _MEMORY if hard == resource.RLIM_INFINITY else min(_MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_AS, (memory, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.disable()
    sys.dont_write_bytecode = True  # judges may not write files
    judge(r"\sqrt{4}", "x+1")
    gc.freeze()
    control = socket.socket(fileno=descriptor)
    judges: set[int] = set()
    while order := _next_order(control):
        what, process, descriptors = order
        if what == _END and process in judges:
            _kill(process)
            judges.remove(process)
        for connection in descriptors:
            if child := os.fork():
                judges.add(child)
                os.close(connection)
            else:
                control.close()
                _work(connection)
    for process in judges:
        _kill(process)


def _next_order(control: socket.socket) -> tuple[bytes, int, list[int]] | None:
    try:
        message, descriptors, _, _ = socket.recv_fds(control, _ORDER.size, 1)
        return *_ORDER.unpack(message), descriptors
    except (OSError, struct.error):
        return None


def _kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def _work(descriptor: int) -> NoReturn:
    """A judge's process: say its id, be told the rules, answer pairs until the parent is gone."""
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        connection = Connection(descriptor)
        connection.send_bytes(json.dumps(os.getpid()).encode())
        rules = Conventions(**json.loads(connection.recv_bytes()))
        while True:
            gold, answer, deadline = json.loads(connection.recv_bytes())
            # Should both parents die meanwhile, the kernel ends this process: no handler runs.
            signal.setitimer(signal.ITIMER_REAL, 2 * deadline + 1)
            begun = time.perf_counter()
            right, reason = judge(gold, answer, rules)
            signal.setitimer(signal.ITIMER_REAL, 0)
            value = None if right is None else float(right)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
            said = [value, reason, time.perf_counter() - begun, memory]
            connection.send_bytes(json.dumps(said).encode())
    finally:
        os._exit(0)

"""Jobs side by side, each in a process of its own that ends with its parent."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Protocol, TextIO, cast

from whorl.errors import UserError, Visible
from whorl.watch import Progress, Watch


class Job(Protocol):
    """Work for one process. A job is pickled on the way there, and leaves its results on disk."""

    @property
    def name(self) -> str:
        """Name of the job, for an error message."""

    @property
    def thriftier(self) -> str:
        """Options of the command with which the job takes less memory; empty if there are none."""

    def run(self, watch: Watch) -> None:
        """Do the work. Files and lines that `watch` is told of reach the parent's; rounds, stages
        and training do not, which `Spoken` makes lines of."""


def one_thread() -> None:
    """Let torch compute on one thread in this process, even where a single job has all the cores.

    Sums come out otherwise on another number of threads, and with them weights and samples, but a
    student depends on its tokens and seed alone: neither on the machine's cores nor on how many
    jobs there were when it was made. Many recipes fill the cores by `--jobs`.
    """
    import torch

    torch.set_num_threads(1)


def end_all(error: UserError) -> None:
    """Answer to a failed job that ends the other jobs too: raises `error`."""
    raise error


def side_by_side(
    jobs: Iterable[Job],
    most: int,
    watch: Watch,
    failed: Callable[[UserError], None] = end_all,
) -> None:
    """Do the jobs, at most `most` at once; a job is taken from `jobs` when its process can start.

    failed: called with the `UserError` of a job; if it raises, the jobs that run are ended.
    Raises `UserError` if a process is killed, RuntimeError if one ends in any other way, and ends
    the others.
    """
    waiting = iter(jobs)
    running: dict[Connection, tuple[Job, SpawnProcess]] = {}
    try:
        while True:
            for job in islice(waiting, most - len(running)):
                ours, process = _start(job)
                running[ours] = job, process
            if not running:
                return
            for pipe in wait(list(running)):
                assert isinstance(pipe, Connection)
                if not _hear(pipe, watch, failed):
                    _end(*running.pop(pipe))
    finally:
        for _, process in running.values():
            process.terminate()
            process.join()


def _start(job: Job) -> tuple[Connection, SpawnProcess]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(job, theirs), name=job.name)
    process.start()
    theirs.close()
    return ours, process


def _hear(pipe: Connection, watch: Watch, failed: Callable[[UserError], None]) -> bool:
    """Pass on a message of a job; returns whether there may be more."""
    try:
        said = pipe.recv()
    except EOFError:
        return False
    if isinstance(said, UserError):
        failed(said)
    else:
        method, *arguments = said
        getattr(watch, method)(*arguments)
    return True


def _end(job: Job, process: SpawnProcess) -> None:
    process.join()
    if process.exitcode == -signal.SIGKILL:
        less = f", and takes less of it with {job.thriftier}" if job.thriftier else ""
        raise UserError(
            f"the process of {job.name} was killed, as the system does where memory runs out; "
            f"the same command goes on{less}"
        )
    if process.exitcode:
        raise RuntimeError(f"the process of {job.name} ended with code {process.exitcode}")


def _work(job: Job, pipe: Connection) -> None:
    """Life of the child process: deaf to Ctrl-C, which the parent handles, and no longer than the
    parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stderr = cast(TextIO, Visible(sys.stderr))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        job.run(_Speaker(pipe))
    except UserError as error:
        pipe.send(error)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


class _Speaker:
    """A `Watch` that sends files and lines through a pipe: the method's name and its arguments."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._lock = pipe, threading.Lock()

    def round(self, number: int, rounds: int, policy: str) -> None: ...

    @contextmanager
    def stage(self, title: str, progress: Progress) -> Iterator[None]:
        yield

    def training(self, step: int, steps: int, loss: float) -> None: ...

    def wrote(self, path: Path, what: str) -> None:
        self._send("wrote", path, what)

    def say(self, line: str) -> None:
        self._send("say", line)

    def _send(self, *said: object) -> None:
        with self._lock:  # a thread may tell how far a stage is
            self._pipe.send(said)

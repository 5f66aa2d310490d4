"""Stopwatch of work that several calls do, whose reading outlives a kill."""

import json
import os
import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import NamedTuple, Self

from whorl.data.atomic import replacing
from whorl.errors import UserError
from whorl.watch.repeating import repeating

EVERY = 1.0
"""Seconds between two readings on disk: as many as a kill can lose."""


class Seconds(NamedTuple):
    """Seconds of some work, by the clock on the wall and of CPU time: see `cpu_seconds`."""

    wall: float = 0.0
    cpu: float = 0.0

    def more(self, other: "Seconds") -> "Seconds":
        return Seconds(self.wall + other.wall, self.cpu + other.cpu)


def cpu_seconds() -> float:
    """CPU time of this process and of all that it has started, such as those of its engines and
    judges, those that have ended included."""
    import psutil  # of the extra `train`

    spent = sum(os.times()[:4])
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it ends meanwhile, and counts above from then on
            spent += sum(child.cpu_times()[:4])
    return spent


def begun(record: Path) -> Seconds:
    """The seconds of the calls that worked on what is not complete; none if there is no record."""
    return Seconds(**json.loads(record.read_bytes())) if record.exists() else Seconds()


class Clock:
    """Stopwatch that runs as long as its context, and goes on from what calls before it have read.

    While it runs its reading is kept in the file `record`, which stays if the work ends before it
    is complete, in whatever way. CPU time of a call that was killed can be known from there alone.
    """

    def __init__(self, record: Path) -> None:
        self._record = record
        self._earlier = begun(record)
        self._start = Seconds(time.monotonic(), cpu_seconds())
        self._thread: AbstractContextManager[None] = repeating(self._tick, EVERY)
        self.complete = True  # what is done when the context ends

    def __enter__(self) -> Self:
        self._thread.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.__exit__(None, None, None)
        if error[0] is None and self.complete:
            self._record.unlink(missing_ok=True)
        else:
            self._tick()

    def read(self) -> Seconds:
        now = Seconds(time.monotonic() - self._start.wall, cpu_seconds() - self._start.cpu)
        return self._earlier.more(now)

    def _tick(self) -> None:
        with suppress(UserError), replacing(self._record) as file:  # a full disk is told elsewhere
            file.write(json.dumps(self.read()._asdict()).encode() + b"\n")

"""Where a job is, said in lines: many jobs at once have one display."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from whorl.watch import Progress, Watch
from whorl.watch.course import Course
from whorl.watch.line import counts_line, training_line
from whorl.watch.pace import Pace
from whorl.watch.repeating import repeating

EVERY = 60.0  # seconds between lines about the same stage


class Spoken:
    """A `Watch` that says all it is told to another one, in lines that begin with a name."""

    def __init__(self, watch: Watch, name: str) -> None:
        self._watch, self._name = watch, name
        self._course, self._told = Course(), time.monotonic()

    def round(self, number: int, rounds: int, policy: str) -> None: ...

    @contextmanager
    def stage(self, title: str, progress: Progress) -> Iterator[None]:
        """Say every minute how far the stage is."""
        pace = Pace(progress)

        def tell() -> None:
            self.say(f"{title}: {counts_line(progress, pace.seconds, pace.rate())}")

        with repeating(tell, EVERY):
            yield

    def training(self, step: int, steps: int, loss: float) -> None:
        """Say once a minute, and at the end, how far a training is."""
        self._course.train(step, steps, time.time())
        if step == steps or time.monotonic() > self._told + EVERY:
            self._told = time.monotonic()
            self.say(training_line(step, steps, loss, self._course.of_training(time.time())))

    def wrote(self, path: Path, what: str) -> None:
        self._watch.wrote(path, what)

    def say(self, line: str) -> None:
        self._watch.say(f"{self._name}: {line}")

"""Where a job is, said in lines, as many jobs at once have one display."""

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
    """A `Watch` that tells another one where a job is, in lines that begin with the job's name."""

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
        now = time.monotonic()
        if step == 1:
            self._told = now
        if step == steps or now > self._told + EVERY:
            self._told = now
            self.say(training_line(step, steps, loss, self._course.of_training(time.time())))

    def wrote(self, path: Path, what: str) -> None:
        self._watch.wrote(path, what)

    def say(self, line: str) -> None:
        self._watch.say(f"{self._name}: {line}")


class WithinBudget:
    """A `Watch` of growing trees within a budget of tokens: it says every minute how much of that
    is sampled, and leaves out what is only true of the few problems that are searched at once.

    spent: tokens of the trees that are complete, which whoever grows them keeps up to date.
    """

    def __init__(self, watch: Watch, budget: int) -> None:
        self._watch, self.budget, self.spent = watch, budget, 0

    def round(self, number: int, rounds: int, policy: str) -> None: ...

    @contextmanager
    def stage(self, title: str, progress: Progress) -> Iterator[None]:
        def tell() -> None:
            sampled = f"{self.spent + progress.tokens:,} of {self.budget:,} tokens"
            failed = f", {progress.failed} failed" if progress.failed else ""
            self.say(f"{title}: {sampled}{failed}")

        with repeating(tell, EVERY):
            yield

    def training(self, step: int, steps: int, loss: float) -> None: ...

    def wrote(self, path: Path, what: str) -> None: ...

    def say(self, line: str) -> None:
        self._watch.say(line)

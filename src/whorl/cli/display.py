"""Progress for people, on stderr: live on a terminal, elsewhere a plain line now and then."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.live import Live
from rich.text import Text

from whorl.cli.speech import SPEECH, Speech
from whorl.cli.terminal import console
from whorl.watch import Progress
from whorl.watch.course import Course
from whorl.watch.line import clock, counts_line, training_line
from whorl.watch.pace import Pace, seconds_left
from whorl.watch.repeating import repeating

EVERY = 10.0  # seconds between plain lines


class Display:
    """Progress of a run on stderr, live on a terminal. Implements `watch.Watch`."""

    def __init__(self) -> None:
        self._speech = SPEECH.get(Speech())
        self._console = console(stderr=True, quiet=self._speech.quiet)
        self._logged = 0.0
        self._course = Course()

    @contextmanager
    def stage(self, title: str, progress: Progress) -> Iterator[None]:
        """Show the counts of `progress` while the stage runs, and once more at its end."""
        pace = Pace(progress)
        self._course.begin(title, time.time())

        def line() -> Text:
            """The status with the rate of the last seconds, and what is left of the run."""
            said = counts_line(progress, pace.seconds, pace.rate())
            return Text(f"{title}: {said}{self._left(seconds_left(progress, pace.seconds))}")

        try:
            if self._console.is_terminal and not self._speech.quiet:
                with Live(
                    get_renderable=line,
                    console=self._console,
                    refresh_per_second=4,
                    transient=True,
                ):
                    yield
            else:
                with repeating(lambda: self.say(line().plain), EVERY):
                    yield
        finally:
            self._course.end(time.time())
            self.say(f"{title}: {counts_line(progress, pace.seconds)}")

    def _left(self, own: float | None) -> str:
        """Time that is left of a run of rounds, behind a stage's own line."""
        left = self._course.left(own, time.time())
        if left is None:
            return ""
        return f"; run: {clock(left)} left" + ("" if self._course.trains else " without training")

    def round(self, number: int, rounds: int, policy: str) -> None:
        """Show which round of the run begins."""
        self._course.round, self._course.rounds = number, rounds
        self.say(f"round {number} of {rounds}: the policy is {policy}")

    def training(self, step: int, steps: int, loss: float) -> None:
        """Show how far a training is."""
        self._course.train(step, steps, time.time())
        if step == steps or self._console.is_terminal or time.monotonic() > self._logged + EVERY:
            self._logged = time.monotonic()
            left = self._course.of_training(time.time())
            run = "" if left is None else self._left(left)
            self.say(f"{training_line(step, steps, loss, left)}{run}")

    def wrote(self, path: Path, what: str) -> None:
        """Name a file that is now complete."""
        self._speech.wrote[str(path)] = what
        self.say(f"wrote {path}: {what}")

    def next(self, *commands: str) -> None:
        """Show what may be done next: commands as they would be typed."""
        if not self._speech.as_json:
            self._console.print(Text(f"next: {', or '.join(commands)}"))

    def say_all(self, lines: Iterable[str]) -> None:
        """Show lines as they come."""
        for line in lines:
            self.say(line)

    def say(self, line: str) -> None:
        """Show a line of text."""
        self._speech.lines.append(line)
        self._console.print(Text(line))

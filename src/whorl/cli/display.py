"""Progress for people, on stderr: live on a terminal, elsewhere a plain line now and then."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.live import Live
from rich.text import Text

from whorl.budget import Prices
from whorl.cli.speech import SPEECH, Speech
from whorl.cli.terminal import console
from whorl.report.text import clock
from whorl.watch import Progress
from whorl.watch.course import Course
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
            said = status(progress, pace.seconds, pace.rate())
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
            self.say(f"{title}: {status(progress, pace.seconds)}")

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
            more = "" if left is None else f", {clock(left)} left{self._left(left)}"
            self.say(f"train: step {step}/{steps}, loss {loss:.4f}{more}")

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


def status(progress: Progress, seconds: float, rate: float | None = None) -> str:
    """A line about a stage that has run for `seconds`; a narrow terminal cuts off its end.

    rate: sampled tokens per second of late; None: since the start.
    """
    purse = progress.purse
    parts = [f"{progress.found + progress.done}/{progress.total} done"]
    if progress.found:
        parts.append(f"{progress.found} of them before")
    if progress.short:
        parts.append(f"{progress.short} cut short")
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    if progress.recalled:
        parts.append(f"{progress.recalled:,} asks recalled")
    waiting = f"{progress.in_flight:,} in flight" if progress.in_flight else ""
    if progress.tokens or not waiting:
        parts.append(f"{progress.tokens:,} tokens{_pace(progress, seconds, rate)}")
    else:  # engines count what they sample when an answer is whole
        parts.append(f"waiting for the first answers, {waiting}")
    left = seconds_left(progress, seconds)
    parts.append(clock(seconds) if left is None else f"{clock(left)} left")
    if purse is not None and purse.budget.prices != Prices():
        parts.append(f"{purse.spent.money:,.2f} spent")
    if waiting and progress.tokens:
        parts.append(waiting)
    if progress.cached is not None:
        parts.append(f"{100 * progress.cached:.0f} % cached")
    return ", ".join(parts)


def _pace(progress: Progress, seconds: float, rate: float | None) -> str:
    """Sampled tokens per second; nothing where none came, which is no speed: long answers are still
    being written."""
    if rate is None:
        rate = progress.tokens / seconds if seconds else 0.0
    return f", {rate:,.0f}/s" if rate >= 0.5 else ""

"""Progress for people: live on a terminal, elsewhere a plain line now and then. All on stderr."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from whorl.stages import Progress

EVERY = 10.0  # seconds between plain lines


class Display:
    """Shows what a run does. Implements `iterate.Watch`."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._logged = 0.0

    @contextmanager
    def stage(self, title: str, progress: Progress) -> Iterator[None]:
        """Show the counts of `progress` while the stage runs, and once more at its end."""
        start = time.monotonic()

        def line() -> Text:
            return Text(f"{title}: {status(progress, time.monotonic() - start)}")

        try:
            if self._console.is_terminal:
                with Live(
                    get_renderable=line,
                    console=self._console,
                    refresh_per_second=4,
                    transient=True,
                ):
                    yield
            else:
                with _repeated(lambda: self.say(line().plain)):
                    yield
        finally:
            self.say(line().plain)

    def training(self, step: int, steps: int, loss: float) -> None:
        """Show how far a training is."""
        if step == steps or self._console.is_terminal or time.monotonic() > self._logged + EVERY:
            self._logged = time.monotonic()
            self.say(f"train: step {step}/{steps}, loss {loss:.4f}")

    def wrote(self, path: Path, what: str) -> None:
        """Name a file that is now complete."""
        self.say(f"wrote {path}: {what}")

    def say(self, line: str) -> None:
        self._console.print(Text(line))


def status(progress: Progress, seconds: float) -> str:
    """What there is to say about a stage after `seconds`."""
    finished = progress.done + progress.failed
    parts = [f"{progress.found + progress.done}/{progress.total} done"]
    if progress.found:
        parts.append(f"{progress.found} of them before")
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    if progress.recalled:
        parts.append(f"{progress.recalled:,} asks recalled")
    rate = progress.tokens / seconds if seconds else 0.0
    parts.append(f"{progress.tokens:,} tokens, {rate:,.0f}/s")
    left = progress.total - progress.found - finished
    if left > 0 and finished:
        parts.append(f"{clock(left * seconds / finished)} left")
    else:
        parts.append(clock(seconds))
    return ", ".join(parts)


def clock(seconds: float) -> str:
    """`1:02:03`, or `2:03` below an hour."""
    minutes, second = divmod(round(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02}" if hour else f"{minute}:{second:02}"


@contextmanager
def _repeated(say: Callable[[], None]) -> Iterator[None]:
    """Call `say` every `EVERY` seconds from a thread of its own."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(EVERY):
            say()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()

"""Pace of a stage: tokens a second of late, and the seconds that are left of it."""

import time
from collections import deque

from whorl.watch import Progress

WINDOW = 30.0  # seconds that a rate is measured over


class Pace:
    """Pace of one stage, from its beginning, which is now."""

    def __init__(self, progress: Progress) -> None:
        self._start = time.monotonic()
        self._progress = progress
        self._recent = deque([(0.0, progress.tokens)])

    @property
    def seconds(self) -> float:
        """Seconds since the stage began."""
        return time.monotonic() - self._start

    def rate(self) -> float:
        """Sampled tokens per second since the calls of the last half minute."""
        seconds = self.seconds
        self._recent.append((seconds, self._progress.tokens))
        while len(self._recent) > 2 and self._recent[1][0] < seconds - WINDOW:
            self._recent.popleft()
        (since, before), (_, now) = self._recent[0], self._recent[-1]
        return (now - before) / (seconds - since) if seconds > since else 0.0


def seconds_left(progress: Progress, seconds: float) -> float | None:
    """Seconds until a stage that has run for `seconds` comes to its end, or to that of its budget;
    None if unknown, or over."""
    finished, purse = progress.done + progress.failed, progress.purse
    ends = [progress.left * seconds / finished] if progress.left > 0 and finished else []
    budgeted = purse.seconds_left if purse is not None and progress.left > 0 else None
    if budgeted is not None:
        ends = [*ends, budgeted] if budgeted else []
    return min(ends) if ends else None

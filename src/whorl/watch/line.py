"""A stage in a line: its counts, its speed, and the time that is left."""

from whorl.budget import Prices
from whorl.watch import Progress
from whorl.watch.pace import seconds_left


def counts_line(progress: Progress, seconds: float, rate: float | None = None) -> str:
    """Counts of a stage that has run for `seconds`; a narrow terminal cuts off the end of the line.

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


def training_line(step: int, steps: int, loss: float, left: float | None) -> str:
    """How far a training is. loss: mean of the last steps. left: seconds; None where nothing tells
    it."""
    more = "" if left is None else f", {clock(left)} left"
    return f"train: step {step}/{steps}, loss {loss:.4f}{more}"


def clock(seconds: float) -> str:
    """`1:02:03`, or `2:03` below an hour."""
    minutes, second = divmod(round(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02}" if hour else f"{minute}:{second:02}"

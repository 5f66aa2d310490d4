"""The status of a command as lines, and as JSON."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from whorl.errors import visible
from whorl.watch.course import Stage
from whorl.watch.line import clock
from whorl.watch.status import Status

SHOWN = 3  # errors, and lines, that are shown

LIVES = {
    "running": "running",
    "silent": "silent: on another machine, and nothing was heard of it for a while",
    "killed": "killed: its process is gone and did not say why",
    "done": "finished",
    "spent": "stopped at the end of its budget",
    "stopped": "stopped by Ctrl-C",
    "failed": "failed",
}


def status_lines(name: str, status: Status, now: float) -> Iterator[str]:
    """The status of the command that wrote to `name`, line by line. now: seconds of Unix."""
    life = status.life(now)
    process = status.begun.get("process", {})
    where = f"process {process.get('pid', '?')} on {process.get('host', '?')}"
    passed = (now if life == "running" else status.last) - status.begun.get("at", status.last)
    ago = "" if life == "running" else f", {clock(max(0.0, now - status.last))} ago"
    yield f"{name}: {LIVES[life]} after {clock(passed)}{ago} ({where})"
    if command := status.begun.get("command"):
        yield visible(f"  {command}")
    if status.end.get("error"):
        yield visible(f"  {status.end['error']}")
    if status.rounds:
        yield f"  round {status.round} of {status.rounds}"
    for stage in status.stages[-SHOWN:]:
        yield f"  {stage_line(stage, status.last)}"
    own, whole = status.left()
    if life == "running":
        aside = bool(status.rounds) and not status.course.trains
        yield f"  left: {_left(own, whole, aside=aside)}"
    for line in status.said[-SHOWN:]:
        yield visible(f"  {line}")
    for key, error in list(status.errors.items())[-SHOWN:]:
        yield visible(f"  failed: {key}: {error}")


def stage_line(stage: Stage, last: float) -> str:
    """A stage in a line: counts, rate, time. last: time of the newest event."""
    counts = stage.counts
    title = f"{stage.title} of round {stage.round}" if stage.round else stage.title
    parts = [f"{counts.get('done', 0):,}/{counts.get('total', 0):,} done"]
    if failed := counts.get("failed"):
        parts.append(f"{failed:,} failed")
    if tokens := counts.get("tokens"):
        parts.append(f"{tokens:,} tokens")
    if stage.ended is None:
        if rate := counts.get("rate"):
            parts.append(f"{rate:,.0f}/s")
        if in_flight := counts.get("in_flight"):
            begun = "" if tokens else "waiting for the first answers, "
            parts.append(f"{begun}{in_flight:,} in flight")
    if cached := counts.get("cached"):
        parts.append(f"{100 * cached:.0f} % cached")
    if money := counts.get("money"):
        parts.append(f"{money:,.2f} spent")
    if "loss" in counts:
        parts.append(f"loss {counts['loss']:.4f}")
    parts.append(clock((stage.ended or last) - stage.began))
    return f"{title}: {', '.join(parts)}"


def as_object(status: Status, now: float) -> dict[str, Any]:
    """The status as JSON: what it holds, its life, and the seconds that are left."""
    own, whole = status.left()
    return asdict(status) | {"life": status.life(now), "left_of_stage": own, "left": whole}


def _left(own: float | None, whole: float | None, *, aside: bool) -> str:
    """aside: no training was seen yet, so none is counted."""
    if whole is None:
        return f"about {clock(own)} of this stage" if own else "not known yet"
    training = ", training aside" if aside else ""
    return f"about {clock(whole)}{training}" + (f", {clock(own)} of this stage" if own else "")

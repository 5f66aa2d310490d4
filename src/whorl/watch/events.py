"""Events of a command on disk, for other processes to read: `events.jsonl`, appended to and never
rewritten. A line is an object that says what happened (`event`) and when (`at`, seconds of Unix).

    begin     command, process, versions, models
    round     number, rounds, policy
    stage     title, total: a stage begins
    progress  done, total, tokens, rate, ...: at most one a second, and only when something moved
    failed    errors: search -> why, of those that are new
    training  step, steps, loss, left
    staged    the last progress of a stage that ended
    wrote     path, what;   said    line
    alive     nothing moved for a while
    end       how (done, spent: a budget, stopped: by Ctrl-C, failed), error
"""

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import SEEK_END, FileIO
from pathlib import Path
from typing import Any

from whorl.ask import Role
from whorl.budget import Prices
from whorl.errors import UserError
from whorl.watch import Progress, Watch
from whorl.watch.pace import Pace, seconds_left
from whorl.watch.process import command, myself, versions
from whorl.watch.repeating import repeating
from whorl.watch.trackers import Trackers

NAME = "events.jsonl"
EVERY = 1.0  # seconds between lines about the same stage
BEAT = 10.0  # seconds without a line after which one says that the process lives
FAILURES = 20  # errors in a line; the others are counted
LONGEST = 2_000  # characters of a text


@contextmanager
def recorded(
    watch: Watch,
    path: Path,
    models: Mapping[Role, str],
    report_to: Sequence[str] = (),
) -> Iterator[Watch]:
    """Pass on to `watch` what the block says, and append it to the file of events `path`.

    models: who answers each role, by content where that is known. A disk that cannot be written to
        ends the record and not the work. Of the processes of a distributed training the first alone
        keeps one.
    report_to: trackers that are told the figures of the events too.

    A new file goes again if the block is refused, with a `UserError`, before it says anything.

    Raises `UserError` if a tracker is unknown or not installed.
    """
    if os.environ.get("RANK", "0") != "0":
        yield watch
        return
    about = {"command": command(), **{str(role): name for role, name in models.items()}}
    trackers = (
        Trackers(report_to, path.with_name("trackers"), about | versions()) if report_to else None
    )
    new = not path.exists()
    events = Events(watch, path, trackers)
    events.write("begin", command=command(), process=myself(), versions=versions(), models=models)
    try:
        with repeating(events.beat, EVERY):  # what moved
            yield events
    except BaseException as error:
        how = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
        why = _short(f"{error}" or type(error).__name__)
        events.write("end", how="spent" if events.spent else how, error=events.spent or why)
        if new and not events.told and isinstance(error, UserError):
            path.unlink(missing_ok=True)
        raise
    else:
        events.write("end", how="spent" if events.spent else "done", error=events.spent)
    finally:
        events.close()


def events_of(where: Path) -> Path:
    """The file of events of a run folder, of scores that `whorl evaluate` writes, or of a model
    that `whorl train` makes."""
    if where.is_dir() and (where / NAME).exists():
        return where / NAME
    beside = where.with_name(f"{where.name.removesuffix('.jsonl')}.{NAME}")
    return where / NAME if where.is_dir() and not beside.exists() else beside


class Events:
    """A `Watch` that appends what it is told to a file, and passes it on to another watch.

    spent: the limit of the budget that ended a stage, as a setting; empty if none did.
    told: whether there is anything in it but that it lives.
    """

    def __init__(self, watch: Watch, path: Path, trackers: Trackers | None = None) -> None:
        self.spent, self.told = "", False
        self._trackers = trackers
        self._watch = watch
        self._lock = threading.Lock()
        self._stage: _Stage | None = None
        self._trained = 0.0
        self._training: tuple[float, int] | None = None
        self._last = time.monotonic()
        self._file = _opened(path)

    def write(self, event: str, **said: Any) -> None:
        """Append a line."""
        self.told = self.told or event not in ("begin", "alive", "end")
        if self._trackers is not None:
            self._trackers.hear({"event": event, **said})
            while self._trackers.failed:
                self.say(self._trackers.failed.pop(0))
        line = json.dumps(
            {"at": round(time.time(), 2), "event": event, **said}, separators=(",", ":")
        )
        with self._lock:
            if self._file is None:
                return
            self._last = time.monotonic()
            try:
                self._file.write(line.encode() + b"\n")
            except OSError:
                self._file.close()
                self._file = None

    def close(self) -> None:
        if self._trackers is not None:
            self._trackers.close()
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def beat(self) -> None:
        """Append what moved."""
        stage = self._stage
        if stage is not None and stage.moved():
            self._tell(stage, "progress")
        elif time.monotonic() - self._last > BEAT:
            self.write("alive")

    def _tell(self, stage: "_Stage", event: str) -> None:
        new = stage.new_errors()
        if new:
            shown = dict(list(new.items())[:FAILURES])
            self.write(
                "failed",
                errors={key: _short(why) for key, why in shown.items()},
                more=len(new) - len(shown),
            )
        self.write(event, **stage.said())

    def round(self, number: int, rounds: int, policy: str) -> None:
        self.write("round", number=number, rounds=rounds, policy=policy)
        self._watch.round(number, rounds, policy)

    @contextmanager
    def stage(self, title: str, progress: Progress) -> Iterator[None]:
        stage = _Stage(title, progress)
        self.write("stage", title=title, total=progress.total)
        self._stage = stage
        try:
            with self._watch.stage(title, progress):
                yield
            if progress.left > 0 and progress.purse is not None:
                self.spent = progress.purse.ended
        finally:
            self._stage = None
            self._tell(stage, "staged")

    def training(self, step: int, steps: int, loss: float) -> None:
        now = time.monotonic()
        if self._training is None or step <= self._training[1]:
            self._training = (now, step)
            self.write("stage", title="train", total=steps)
        if step == steps or now - self._trained >= EVERY:
            self._trained = now
            since, first = self._training
            left = (steps - step) * (now - since) / (step - first) if step > first else None
            self.write("training", step=step, steps=steps, loss=loss, left=left)
        if step == steps:
            self._training = None
        self._watch.training(step, steps, loss)

    def wrote(self, path: Path, what: str) -> None:
        self.write("wrote", path=str(path), what=_short(what))
        self._watch.wrote(path, what)

    def say(self, line: str) -> None:
        self.write("said", line=_short(line))
        self._watch.say(line)


class _Stage:
    """A stage under way: its counts as a line, and what of them is new since the last line."""

    def __init__(self, title: str, progress: Progress) -> None:
        self._title, self._progress = title, progress
        self._pace = Pace(progress)
        self._told: tuple[object, ...] = ()
        self._known = 0

    def moved(self) -> bool:
        """Whether counts differ from those of the last call."""
        progress = self._progress
        counts = (progress.done, progress.failed, progress.found, progress.tokens)
        moved = counts != self._told
        self._told = counts
        return moved

    def new_errors(self) -> dict[str, str]:
        """Errors that no earlier call returned."""
        errors = list(self._progress.errors.items())
        new, self._known = dict(errors[self._known :]), len(errors)
        return new

    def said(self) -> dict[str, Any]:
        """The counts of now; those that are nought are left out."""
        progress, purse = self._progress, self._progress.purse
        seconds, rate = self._pace.seconds, self._pace.rate()
        left = seconds_left(progress, seconds)
        said = {
            "title": self._title,
            "done": progress.found + progress.done,
            "total": progress.total,
            "tokens": progress.tokens,
            "seconds": round(seconds, 1),
        }
        more = {
            "found": progress.found,
            "failed": progress.failed,
            "short": progress.short,
            "recalled": progress.recalled,
            "rate": round(rate, 1),
            "in_flight": progress.in_flight,
            "cached": progress.cached and round(progress.cached, 3),
            "left": left and round(left, 1),
            "money": purse and purse.budget.prices != Prices() and round(purse.spent.money, 4),
        }
        return said | {name: value for name, value in more.items() if value}


def _opened(path: Path) -> FileIO | None:
    """The file to append to, at the beginning of a line: a kill may have torn the last one. None if
    it cannot be written."""
    try:
        file = path.open("a+b", buffering=0)
        if file.seek(0, SEEK_END):
            file.seek(-1, SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
    except OSError:
        return None
    return file


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"

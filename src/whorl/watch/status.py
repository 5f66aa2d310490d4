"""Status of a command, read from its file of events alone: does it live, where is it, what is
left."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from whorl.watch.course import Course, Stage
from whorl.watch.process import lives

Life = Literal["running", "silent", "killed", "done", "spent", "stopped", "failed"]
"""Life of a command: `silent`, it runs on another machine and has written nothing for a while;
`killed`, its process is gone and did not say why; the others as its last event says."""

SILENCE = 60.0  # seconds after which a process that cannot be seen is called silent
KEPT = 50  # lines, and errors, that are kept


@dataclass(slots=True)
class Status:
    """Status of the newest command that wrote to a file of events, and the stages of all.

    begun: its first event. last: time of its last one.
    round, rounds: under way and in all; 0 if the command has none.
    end: its last event, if it said good-bye. errors: of the searches that failed, the newest.
    """

    begun: dict[str, Any] = field(default_factory=dict)
    last: float = 0.0
    round: int = 0
    rounds: int = 0
    stages: list[Stage] = field(default_factory=list)
    end: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take in the next event; those of a kind that is not known are passed over."""
        self.last = float(event["at"])
        if event["event"] in _NEEDED:
            getattr(self, f"_{event['event']}")(event)

    @property
    def stage(self) -> Stage | None:
        """The stage that is under way."""
        newest = self.stages[-1] if self.stages else None
        return newest if newest and newest.ended is None else None

    def life(self, now: float) -> Life:
        """Whether it lives at the time `now`."""
        if self.end:
            how: Life = self.end["how"]
            return how if how in get_args(Life) else "failed"
        alive = lives(self.begun.get("process", {}))
        if alive is None:
            return "running" if now - self.last < SILENCE else "silent"
        return "running" if alive else "killed"

    def left(self) -> tuple[float | None, float | None]:
        """Seconds that are left of the stage, and of the whole command; None where nothing tells.
        Of a first round before its training the latter are without that of any: see `Course`."""
        stage = self.stage
        own = stage.counts.get("left") if stage else None
        return own, self.course.left(own, self.last) if self.rounds else own

    @property
    def course(self) -> Course:
        """The stages so far, to see how much is left."""
        return Course(self.stages, self.round, self.rounds)

    def _begin(self, event: Mapping[str, Any]) -> None:
        if self.stage:
            self.stage.ended = self.last
        self.begun, self.end, self.errors = dict(event), {}, {}
        self.round = self.rounds = 0

    def _round(self, event: Mapping[str, Any]) -> None:
        self.round, self.rounds = event["number"], event["rounds"]

    def _stage(self, event: Mapping[str, Any]) -> None:
        if self.stage:
            self.stage.ended = self.last
        self.stages.append(
            Stage(event["title"], self.round, self.last, counts={"total": event["total"]})
        )

    def _progress(self, event: Mapping[str, Any]) -> None:
        if self.stage:
            self.stage.counts = {k: v for k, v in event.items() if k not in ("at", "event")}

    def _staged(self, event: Mapping[str, Any]) -> None:
        self._progress(event)
        if self.stage:
            self.stage.ended = self.last

    def _training(self, event: Mapping[str, Any]) -> None:
        self._progress({**event, "done": event["step"], "total": event["steps"]})
        if self.stage and event["step"] == event["steps"]:
            self.stage.ended = self.last

    def _failed(self, event: Mapping[str, Any]) -> None:
        self.errors |= event["errors"]
        self.errors = dict(list(self.errors.items())[-KEPT:])

    def _wrote(self, event: Mapping[str, Any]) -> None:
        self.said = [*self.said, f"wrote {event['path']}: {event['what']}"][-KEPT:]

    def _said(self, event: Mapping[str, Any]) -> None:
        self.said = [*self.said, event["line"]][-KEPT:]

    def _end(self, event: Mapping[str, Any]) -> None:
        self.end = dict(event)
        if self.stage:
            self.stage.ended = self.last


class Reader:
    """A reader of a file of events that may still grow; it never writes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> Iterator[dict[str, Any]]:
        """The events that came since the last call. Lines that are torn or no events are passed
        over; so is the last one until it is whole. Nothing if there is no file."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                for line in file:
                    if not line.endswith(b"\n"):
                        return
                    self._offset += len(line)
                    event = _read_event(line)
                    if event:
                        yield event
        except OSError:
            return


def status_of(path: Path) -> Status | None:
    """The status that a file of events tells; None if it tells nothing."""
    status = Status()
    for event in Reader(path).read():
        status.hear(event)
    return status if status.last else None


_NEEDED: Mapping[str, tuple[str, ...]] = {
    "begin": ("process",),
    "round": ("number", "rounds"),
    "stage": ("title", "total"),
    "progress": (),
    "staged": (),
    "training": ("step", "steps"),
    "failed": ("errors",),
    "wrote": ("path", "what"),
    "said": ("line",),
    "end": ("how",),
}


def _read_event(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
        float(event["at"])
        if all(name in event for name in _NEEDED.get(str(event["event"]), ())):
            return dict(event)
    except (ValueError, KeyError, TypeError):
        pass
    return None

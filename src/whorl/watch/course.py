"""The course of a command: stages that are over or under way, and the seconds that are left of all
rounds of a run."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any


@dataclass(slots=True)
class Stage:
    """A stage: when it began and ended (seconds of Unix; None: it goes on), and its last counts.
    round: that it is of, from 1; 0 before the first."""

    title: str
    round: int
    began: float
    ended: float | None = None
    counts: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Course:
    """The stages so far, and which round of how many is under way; both are 0 without rounds."""

    stages: list[Stage] = field(default_factory=list)
    round: int = 0
    rounds: int = 0

    def begin(self, title: str, now: float, **counts: Any) -> None:
        """A stage begins, and one that was under way has ended."""
        self.end(now)
        self.stages.append(Stage(title, self.round, now, counts=counts))

    def end(self, now: float) -> None:
        """The stage under way, if there is one, has ended."""
        if self.stages and self.stages[-1].ended is None:
            self.stages[-1].ended = now

    def train(self, step: int, steps: int, now: float) -> None:
        """A training has come to `step` of `steps`; it began with its first one."""
        running = self.running
        if running is None or running.title != "train" or step < running.counts["done"]:
            self.begin("train", now, first=step, total=steps)
        self.stages[-1].counts["done"] = step
        if step == steps:
            self.end(now)

    def of_training(self, now: float) -> float | None:
        """Seconds that are left of a training that is under way; None if nothing tells."""
        running = self.running
        if running is None or running.title != "train":
            return None
        done = running.counts["done"] - running.counts["first"]
        left = running.counts["total"] - running.counts["done"]
        return left * (now - running.began) / done if done else None

    @property
    def running(self) -> Stage | None:
        """The stage that is under way."""
        newest = self.stages[-1] if self.stages else None
        return newest if newest and newest.ended is None else None

    @property
    def trains(self) -> bool:
        """Whether a training was seen, without which nobody knows how long one takes."""
        return any(stage.title == "train" for stage in self.stages)

    def left(self, own: float | None, now: float) -> float | None:
        """Seconds that are left of all rounds, of which those of the stage under way are `own`;
        None if nothing tells. A stage of a kind that was not seen yet counts nothing.

        A kind of stage takes as long as it took in the mean of earlier rounds, or in this one.
        """
        if not self.rounds or not self.round:
            return None
        running = self.running
        this = total = 0.0
        for title in dict.fromkeys(stage.title for stage in self.stages):
            under_way = running is not None and running.title == title
            spent = self._spent(self.round, title, now)
            known = [took for k in range(1, self.round) if (took := self._spent(k, title, now))]
            if not known and under_way and own is None:
                return None
            before = self._spent(0, title, now)
            if known:
                usual = fmean(known)
            elif under_way:
                usual = max(spent + (own or 0.0), before)
            else:
                usual = spent or before
            this += max(usual - spent, (own or 0.0) if under_way else 0.0)
            total += usual
        return this + total * (self.rounds - self.round)

    def _spent(self, round: int, title: str, now: float) -> float:
        """Seconds of a kind of stage in a round, in this command and in earlier ones."""
        own: Sequence[Stage] = [s for s in self.stages if (s.round, s.title) == (round, title)]
        return sum((stage.ended or now) - stage.began for stage in own)

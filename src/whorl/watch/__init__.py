"""Watching a long stage: counts that the stage keeps up to date, and the protocol of displays."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from whorl.budget.purse import Purse
from whorl.engines.meter import Counts


@dataclass(slots=True)
class Progress:
    """Live counts of a stage's searches. The stage writes them, a `Watch` reads them.

    total: searches to do; done: ended well; errors: why others ended in an error, by key; short: of
    those done, cut short by a budget; found: done by an earlier run; recalled: asks answered from
    the journal; purse: what pays.
    """

    total: int = 0
    done: int = 0
    errors: dict[str, str] = field(default_factory=dict)
    short: int = 0
    found: int = 0
    recalled: int = 0
    meters: Sequence[Counts] = ()
    purse: Purse | None = None

    @property
    def failed(self) -> int:
        """Searches that ended in an error."""
        return len(self.errors)

    @property
    def left(self) -> int:
        """Searches that have not ended."""
        return self.total - self.found - self.done - self.failed

    @property
    def tokens(self) -> int:
        """Tokens generated so far, without those that the journal knew."""
        return sum(meter.tokens for meter in self.meters)

    @property
    def in_flight(self) -> int:
        """Asks that wait for an answer now."""
        return sum(meter.in_flight for meter in self.meters)

    @property
    def cached(self) -> float | None:
        """Share of the prompts' tokens that engines had cached; None if unknown."""
        read = sum(meter.prompt_tokens for meter in self.meters)
        known = sum(meter.cached_tokens for meter in self.meters)
        return known / read if known else None


class Watch(Protocol):
    """Display of a run while it goes on: `cli.display.Display` is one, `watch.events.Events`, which
    other processes read, another."""

    def round(self, number: int, rounds: int, policy: str) -> None:
        """Show that round `number` of `rounds` begins. policy: the engine that searches in it."""

    def stage(self, title: str, progress: Progress) -> AbstractContextManager[None]:
        """Show `progress` while a stage is under way."""

    def training(self, step: int, steps: int, loss: float) -> None:
        """Show that a training has come to `step` of `steps`. loss: mean since the last call."""

    def wrote(self, path: Path, what: str) -> None:
        """Show that the file or folder `path` is complete, and `what` it holds."""

    def say(self, line: str) -> None:
        """Show a line of text."""


class Quiet:
    """A `Watch` that shows nothing."""

    def round(self, number: int, rounds: int, policy: str) -> None:
        pass

    def stage(self, title: str, progress: Progress) -> AbstractContextManager[None]:
        return nullcontext()

    def training(self, step: int, steps: int, loss: float) -> None:
        pass

    def wrote(self, path: Path, what: str) -> None:
        pass

    def say(self, line: str) -> None:
        pass

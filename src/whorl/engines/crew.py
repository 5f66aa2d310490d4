"""Crews: whatever runs many searches over engines, in this process or on other machines."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from whorl.ask import Asking, Engine
from whorl.budget import Budget
from whorl.budget.purse import Purse
from whorl.drive import Finished, drive
from whorl.engines.journal import Journal
from whorl.engines.meter import Counts, Meter

T = TypeVar("T")

Begun = tuple[str, Callable[[], Asking[T]]]
"""A search that is to be run: its key, and what begins it. That goes to another process if need be,
so it is a function of a module, or a `partial` of one."""


class Crew(Protocol):
    """A process, or many, with engines: runs searches as `drive` does.

    engines: the engines by role that can be asked here and now; none where others have them.
    meters: what engines are asked in the stage that runs.
    """

    engines: Mapping[str, Engine]
    meters: Sequence[Counts]

    def drive(
        self,
        searches: Iterable[Begun[T]],
        journal: Journal,
        *,
        seed: int = 0,
        width: int = 256,
        purse: Purse | None = None,
    ) -> Iterator[Finished[T]]:
        """Run `searches`, read as they start; yield each as it ends. What models say is in
        `journal` before a search is yielded.

        width: searches in flight. purse: pays for what the journal does not know.
        """


class Here:
    """This process as a crew, over engines that it has."""

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self.engines = engines
        self.meters: Sequence[Counts] = ()

    def drive(
        self,
        searches: Iterable[Begun[T]],
        journal: Journal,
        *,
        seed: int = 0,
        width: int = 256,
        purse: Purse | None = None,
    ) -> Iterator[Finished[T]]:
        """Run `searches` as `Crew` says. Roles that share an engine still do."""
        purse = purse or Purse(Budget())
        meters = {id(engine): Meter(engine) for engine in self.engines.values()}
        recorded = {key: journal.wrap(purse.wrap(meter)) for key, meter in meters.items()}
        by_role = {role: recorded[id(engine)] for role, engine in self.engines.items()}
        self.meters = [*meters.values()]
        begun = ((key, begin()) for key, begin in searches)
        return drive(begun, by_role, width=width, seed=seed, lasts_for=purse.lasts_for)

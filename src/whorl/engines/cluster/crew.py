"""The crew of a cluster: lends searches to workers, keeps what they send home, and counts."""

import logging
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from whorl.ask import Engine, Role
from whorl.budget import SPENT, Budget
from whorl.budget.purse import Purse
from whorl.drive import Finished
from whorl.engines.cluster import actors
from whorl.engines.cluster.actors import Hand
from whorl.engines.cluster.address import Address
from whorl.engines.cluster.fleet import Fleet
from whorl.engines.cluster.leases import Leases
from whorl.engines.cluster.replica import STARTING
from whorl.engines.cluster.stage import Sent, Stage
from whorl.engines.cluster.worker import Batch, Setup
from whorl.engines.crew import Begun
from whorl.engines.journal import Journal
from whorl.engines.meter import Counts
from whorl.engines.roles import Engines
from whorl.engines.spec import HERE, Spec
from whorl.errors import UserError

T = TypeVar("T")

LOOK = 1.0  # seconds between looks at the machines
FIRST = 60.0  # seconds for all workers to open; after that one will do
STILLBORN = 5  # workers that may die one after the other as they open, before no more are hired
NOBODY = 600.0  # seconds without any worker after which a run gives up

_LOG = logging.getLogger(__name__)


class OnCluster:
    """The engines of a run on a cluster, as `roles.Crews`: every worker opens its own."""

    def __init__(self, address: Address, engines: Engines, folder: Path) -> None:
        self._address = address
        self._engines = engines
        self._folder = folder
        self._probe: tuple[str, str] | None = None
        self._fleet = Fleet()
        self._crew: _Crew | None = None

    @property
    def engines(self) -> Engines:
        """Who answers now."""
        return self._engines

    def follow(self, engines: Engines) -> None:
        """Let `engines` answer from now on."""
        self._engines = engines

    def crew(self, *roles: Role) -> "_Crew":
        """Workers with the engines of `roles`; see `roles.Crews`. Those that are there stay, and
        their engines too, if these are still wanted."""
        named = self._engines.named()
        served = {name for name in named.values() if Spec.read(name).scheme == "replicas"}
        wanted = {named[role] for role in roles or named if role in named} & served
        if self._crew is None:
            self._crew = _Crew(self._address, self._fleet)
        try:
            self._fleet.serve(wanted, served)
            urls = self._fleet.urls()
            self._crew.open(Setup(self._engines, roles, str(Path.cwd()), self._shared(), urls))
        except BaseException:
            self._end()
            raise
        return self._crew

    def rest(self) -> None:
        """End all workers, and the servers that were started, unless engines are to stay."""
        if not self._engines.stay:
            self._end()

    def close(self) -> None:
        """End all workers and servers, and take away the file that they looked for."""
        self._end()
        if self._probe:
            Path(self._probe[0]).unlink(missing_ok=True)

    def _end(self) -> None:
        if self._crew is not None:
            actors.dismiss(self._crew.hands)
        self._crew = None
        self._fleet.close()

    def _shared(self) -> tuple[str, str] | None:
        """The file by which workers see that they share the run's storage, where an engine is a
        folder of models."""
        named = {*self._engines.named().values()}
        if not any(Path(Spec.read(spec).place).exists() for spec in named if _is_here(spec)):
            return None
        if self._probe is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder.resolve() / f".probe-{secrets.token_hex(4)}"
            self._probe = str(path), secrets.token_hex(8)
            path.write_text(self._probe[1], encoding="utf-8")
        return self._probe


def _is_here(spec: str) -> bool:
    return Spec.read(spec).scheme in HERE


@contextmanager
def on_cluster(address: Address, folder: Path, engines: Engines) -> Iterator[OnCluster]:
    """Join a cluster, for engines that its workers open. folder: on storage that all machines share
    if any is shared. Raises `UserError` as `actors.connected` does."""
    with actors.connected(address):
        crews = OnCluster(address, engines, folder)
        try:
            yield crews
        finally:
            crews.close()


class _Crew:
    """The workers that are there."""

    engines: Mapping[str, Engine] = {}  # none here

    def __init__(self, address: Address, fleet: Fleet) -> None:
        self.meters: Sequence[Counts] = ()
        self.hands: list[Hand] = []
        self._address = address
        self._fleet = fleet
        self._setup: Setup | None = None
        self._stillborn = 0  # workers that died as they opened, since one did not
        self._stages = 0
        self._looked = 0.0
        self._turned_away: set[str] = set()

    def open(self, setup: Setup) -> None:
        """See that workers have opened the engines of a setup: as many as there is room for, or one
        where others are late. Raises `UserError` if one cannot, or none comes."""
        if setup != self._setup:
            self._setup = setup
            for hand in self.hands:
                hand.open(setup)
        began = time.monotonic()
        while True:
            self._resettled()
            self._hire()
            for hand in self._opened(LOOK):
                if hand.fault:
                    raise UserError(hand.fault)
            there = sum(hand.said is not None for hand in self.hands)
            took = time.monotonic() - began
            if there and (there == len(self.hands) or took > FIRST):
                return
            if self._stillborn >= STILLBORN and not there:
                raise UserError(
                    f"{self._stillborn} workers died on the cluster {self._address.place} as they "
                    "opened their engines; is there memory for them?"
                )
            if took > self._nobody():
                raise UserError(
                    f"no worker has begun on the cluster {self._address.place} in {took:.0f} s; "
                    "`ray status` says what its machines are doing"
                )

    def _hire(self) -> None:
        """Hire workers for the room that there is, looked for now and then."""
        if time.monotonic() - self._looked < LOOK or self._stillborn >= STILLBORN:
            return
        assert self._setup is not None
        self._looked = time.monotonic()
        for _ in range(actors.room_for(self._address) - len(self.hands)):
            self.hands.append(actors.hired(self._setup, self._address))

    def _opened(self, timeout: float) -> list[Hand]:
        """Workers that have said whether they opened their engines since the last call."""
        opening = [hand for hand in self.hands if hand.said is None]
        ready, dead = actors.opened(opening, timeout)
        self._bury(dead)
        self._stillborn = 0 if ready else self._stillborn + len(dead)
        return ready

    def _bury(self, dead: Iterable[Hand]) -> None:
        for hand in dead:
            self.hands.remove(hand)
            actors.bury(hand)

    def _welcome(self) -> Iterator[Hand]:
        """Workers that became ready since the last call; those that cannot work are told of, once
        for each machine."""
        self._hire()
        for hand in self._opened(0.0):
            if not hand.fault:
                yield hand
                continue
            node = (hand.said or {})["node"]
            if node not in self._turned_away:
                self._turned_away.add(node)
                _LOG.warning("a worker cannot join: %s", hand.fault)

    def drive(
        self,
        searches: Iterable[Begun[T]],
        journal: Journal,
        *,
        seed: int = 0,
        width: int = 256,
        purse: Purse | None = None,
    ) -> Iterator[Finished[T]]:
        """Run `searches` as `crew.Crew` says. width: searches in flight on each worker."""
        sent = Sent()
        self.meters = [sent]
        self._stages += 1
        leases = Leases(width, self._address.tries)
        stage = Stage(self._stages, journal, sent, seed, leases)
        return self._lend(iter(searches), stage, width, purse or Purse(Budget()))

    def _lend(
        self, source: Iterator[Begun[Any]], stage: Stage, width: int, purse: Purse
    ) -> Iterator[Finished[Any]]:
        """The loop of the driver: lend, take what comes, bury the dead."""
        for hand in filter(attrgetter("fit"), self.hands):
            hand.begin(stage.number, stage.seed, width)
        told: set[Hand] = set()  # that the budget has ended
        exhausted, seen = False, time.monotonic()
        while not exhausted or len(stage.leases):
            for hand in self._welcome():
                hand.begin(stage.number, stage.seed, width)
            working = self._working()
            exhausted = stage.lend(working, source, purse) or exhausted
            if self._resettled(stage):
                continue
            if purse.ended:
                for hand in set(working) - told:
                    hand.actor.spend.remote(stage.number)
                told.update(working)
                if not exhausted and (item := next(source, None)):  # what a budget ended before
                    yield Finished(item[0], None, SPENT.error, {})
                exhausted = True
            for hand, what in actors.arrived(working, LOOK):
                if isinstance(what, Batch):
                    yield from stage.keep(hand, what, purse)
                else:
                    self._bury([hand])
                    yield from stage.lose(hand, what or "it ended")
            seen = time.monotonic() if working else seen
            if not working:
                time.sleep(LOOK / 10)
            if (alone := time.monotonic() - seen) > self._nobody():
                raise UserError(
                    f"the cluster {self._address.place} has had no worker for {alone:.0f} s; "
                    "nothing finished is lost: give the same command again when it has"
                )
        self._end(stage.number)

    def _resettled(self, stage: Stage | None = None) -> bool:
        """Send all workers away if servers are elsewhere now, so that others come who know where;
        returns whether it was so."""
        if not self._fleet.moved():
            return False
        assert self._setup is not None
        self._setup = replace(self._setup, served=self._fleet.urls())
        for hand in list(self.hands):
            self._bury([hand])
            if stage:
                stage.leave(hand)
        return True

    def _nobody(self) -> float:
        """Seconds without a worker after which a run gives up: workers wait for servers that were
        started as long as these have for loading their model."""
        return NOBODY + (STARTING if self._fleet.urls() else 0.0)

    def _working(self) -> list[Hand]:
        return [hand for hand in self.hands if hand.stream is not None]

    def _end(self, stage: int) -> None:
        """Let workers end the stage, so that they can begin another one."""
        for hand in self._working():
            hand.actor.finish.remote(stage)
        while working := self._working():
            for hand, what in actors.arrived(working, LOOK):
                if not isinstance(what, Batch):
                    hand.stream = None
                if isinstance(what, str):
                    self._bury([hand])

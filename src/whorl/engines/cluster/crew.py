"""The crew of a cluster: lends searches to workers, keeps what they send home, and counts."""

import logging
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
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
from whorl.engines.cluster.leases import Leases
from whorl.engines.cluster.replay import replayed
from whorl.engines.cluster.worker import Batch, Lease, Setup
from whorl.engines.crew import Begun
from whorl.engines.journal import Journal
from whorl.engines.meter import Counts
from whorl.engines.roles import Engines
from whorl.engines.spec import HERE, Spec
from whorl.errors import UserError

T = TypeVar("T")

LOOK = 1.0  # seconds between looks at the machines
FIRST = 60.0  # seconds for the other workers to open, once one has
NOBODY = 600.0  # seconds without any worker after which a run gives up

_LOG = logging.getLogger(__name__)


class OnCluster:
    """The engines of a run on a cluster, as `roles.Crews`: every worker opens its own."""

    def __init__(self, address: Address, engines: Engines, folder: Path) -> None:
        self._address = address
        self._engines = engines
        self._folder = folder
        self._probe: tuple[str, str] | None = None
        self._crew: _Crew | None = None

    @property
    def engines(self) -> Engines:
        """Who answers now."""
        return self._engines

    def follow(self, engines: Engines) -> None:
        """Let `engines` answer from now on."""
        self._engines = engines

    def crew(self, *roles: Role) -> "_Crew":
        """Workers with the engines of `roles`; see `roles.Crews`. Those that are there stay, if
        they have what is wanted."""
        setup = Setup(self._engines, roles, str(Path.cwd()), self._shared())
        if self._crew is None or self._crew.setup != setup:
            self.rest()
            self._crew = _Crew(self._address, setup)
            try:
                self._crew.gather()
            except BaseException:
                self.rest()
                raise
        return self._crew

    def rest(self) -> None:
        """End all workers."""
        if self._crew is not None:
            actors.dismiss(self._crew.hands)
        self._crew = None

    def close(self) -> None:
        """End all workers, and take away the file that they looked for."""
        self.rest()
        if self._probe:
            Path(self._probe[0]).unlink(missing_ok=True)

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


@dataclass(slots=True)
class Sent:
    """Counts of what workers were asked in a stage, added up; see `meter.Counts`."""

    by_hand: dict[Hand, Mapping[str, int]] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)

    def _sum(self, name: str) -> int:
        return self.gone.get(name, 0) + sum(said[name] for said in self.by_hand.values())

    def lose(self, hand: Hand) -> None:
        """A worker died; what it has sampled is sampled."""
        for name, count in self.by_hand.pop(hand, {}).items():
            if name != "in_flight":
                self.gone[name] = self.gone.get(name, 0) + count

    @property
    def tokens(self) -> int:
        return self._sum("tokens")

    @property
    def prompt_tokens(self) -> int:
        return self._sum("prompt_tokens")

    @property
    def cached_tokens(self) -> int:
        return self._sum("cached_tokens")

    @property
    def in_flight(self) -> int:
        return self._sum("in_flight")

    @property
    def recalled(self) -> int:
        return self._sum("recalled")


class _Crew:
    """The workers that are there."""

    engines: Mapping[str, Engine] = {}  # none here

    def __init__(self, address: Address, setup: Setup) -> None:
        self.setup = setup
        self.meters: Sequence[Counts] = ()
        self.hands: list[Hand] = []
        self._address = address
        self._stages = 0
        self._looked = 0.0
        self._turned_away: set[str] = set()

    def gather(self) -> None:
        """Hire as many workers as there is room for, and wait until they have opened their engines,
        or one has and the others are late. Raises `UserError` if one cannot, or none comes."""
        began = time.monotonic()
        while True:
            self._hire()
            opening = [hand for hand in self.hands if hand.said is None]
            ready, dead = actors.opened(opening, LOOK)
            self._bury(dead)
            for hand in ready:
                if hand.fault:
                    raise UserError(hand.fault)
            there = sum(hand.said is not None for hand in self.hands)
            took = time.monotonic() - began
            if there and (there == len(self.hands) or took > FIRST):
                return
            if took > NOBODY:
                raise UserError(
                    f"no worker has begun on the cluster {self._address.place} in {NOBODY:.0f} s; "
                    "`ray status` says what its machines are doing"
                )

    def _hire(self) -> None:
        """Hire workers for the room that there is, looked for now and then."""
        if time.monotonic() - self._looked < LOOK:
            return
        self._looked = time.monotonic()
        for _ in range(actors.room_for(self._address) - len(self.hands)):
            self.hands.append(actors.hired(self.setup, self._address))

    def _bury(self, dead: Iterable[Hand]) -> None:
        for hand in dead:
            self.hands.remove(hand)
            actors.bury(hand)

    def _welcome(self) -> Iterator[Hand]:
        """Workers that became ready since the last call; those that cannot work are told of, once
        for each machine."""
        self._hire()
        opening = [hand for hand in self.hands if hand.said is None]
        ready, dead = actors.opened(opening, 0.0)
        self._bury(dead)
        for hand in ready:
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
        stage = _Stage(self._stages, journal, sent, seed, leases)
        return self._lend(iter(searches), stage, width, purse or Purse(Budget()))

    def _lend(
        self, source: Iterator[Begun[Any]], stage: "_Stage", width: int, purse: Purse
    ) -> Iterator[Finished[Any]]:
        """The loop of the driver: lend, take what comes, bury the dead."""
        for hand in filter(attrgetter("fit"), self.hands):
            hand.begin(stage.number, stage.seed, width)
        working: list[Hand] = []
        exhausted, seen = False, time.monotonic()
        while not exhausted or len(stage.leases):
            for hand in self._welcome():
                hand.begin(stage.number, stage.seed, width)
            working = [hand for hand in self.hands if hand.stream is not None]
            exhausted = stage.lend(working, source, purse) or exhausted
            if purse.ended and not exhausted:
                exhausted = True
                for hand in working:
                    hand.actor.spend.remote(stage.number)
                if item := next(source, None):  # what a budget ended before
                    yield Finished(item[0], None, SPENT.error, {})
            for hand, what in actors.arrived(working, LOOK):
                if isinstance(what, Batch):
                    yield from stage.keep(hand, what, purse)
                else:
                    self._bury([hand])
                    yield from stage.lose(hand, what or "it ended")
            seen = time.monotonic() if working else seen
            if not working:
                time.sleep(LOOK / 10)
            if time.monotonic() - seen > NOBODY:
                raise UserError(
                    f"the cluster {self._address.place} has had no worker for {NOBODY:.0f} s; "
                    "nothing finished is lost: give the same command again when it has"
                )
        self._end(working, stage.number)

    def _end(self, working: Sequence[Hand], stage: int) -> None:
        """Let workers end the stage, so that they can begin another one."""
        for hand in working:
            hand.actor.finish.remote(stage)
        while working := [hand for hand in working if hand.stream is not None]:
            for hand, what in actors.arrived(working, LOOK):
                if not isinstance(what, Batch):
                    hand.stream = None
                if isinstance(what, str):
                    self._bury([hand])


class _Stage:
    """Searches of a stage that are lent, and where what they bring goes."""

    def __init__(
        self, number: int, journal: Journal, sent: Sent, seed: int, leases: Leases
    ) -> None:
        self.number = number
        self.seed = seed
        self.leases = leases
        self._journal = journal
        self._sent = sent
        self._resumed = len(journal) > 0 or bool(journal.earlier)
        self._begins: dict[str, Any] = {}

    def lend(self, hands: Sequence[Hand], source: Iterator[Begun[Any]], purse: Purse) -> bool:
        """Lend workers what they have room for, as evenly as can be, those searches that must go
        alone or with few others first; returns whether `source` has come to its end."""
        lent = {hand: [self._lease(key, True) for key in self.leases.again(hand)] for hand in hands}
        ended = False
        while not purse.ended and len(self.leases) < purse.lasts_for(len(self.leases)):
            free = [hand for hand in hands if self.leases.has_room(hand)]
            item = next(source, None) if free else None
            ended = bool(free) and item is None
            if item is None:
                break
            key, begin = item
            hand = min(free, key=lambda each: len(self.leases.of(each)))
            self.leases.lend(hand, key)
            self._begins[key] = begin
            lent[hand].append(self._lease(key, self._resumed))
        for hand, leases in lent.items():
            if leases:
                hand.actor.lend.remote(self.number, leases)
        return ended

    def _lease(self, key: str, begun: bool) -> Lease:
        """A lease of a search; if it was begun before, with the replies that came home."""
        from ray import cloudpickle

        begin = self._begins[key]
        known = replayed(key, begin, self._journal, self.seed) if begun else ()
        return Lease(key, cloudpickle.dumps(begin), known)

    def keep(self, hand: Hand, batch: Batch, purse: Purse) -> Iterator[Finished[Any]]:
        """Record what a worker sent, then yield the searches that ended."""
        rows = {name: (name, role, replies) for name, role, replies in batch.rows}
        if rows:
            self._journal.record([*rows.values()])
        for _, role, replies in rows.values():
            purse.pay(role, replies)  # type: ignore[arg-type]
        self._sent.by_hand[hand] = batch.counts
        self._journal.recalled = self._sent.recalled
        for finished in batch.ended:
            if self.leases.end(hand, finished.key):
                del self._begins[finished.key]
                yield finished

    def lose(self, hand: Hand, why: str) -> Iterator[Finished[Any]]:
        """Take back what a dead worker had; yields, as failed, what has killed too many."""
        _LOG.info("a worker died, its searches go to others: %s: %s", hand.name, why)
        self._sent.lose(hand)
        self._journal.learn()
        for key in self.leases.die(hand):
            del self._begins[key]
            told = f"set aside: workers died over it, the last time alone: {why}"
            yield Finished(key, None, told, {})

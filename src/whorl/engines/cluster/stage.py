"""A stage on a cluster: searches that are lent, and where what they bring goes."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from whorl.budget.purse import Purse
from whorl.drive import Finished
from whorl.engines.cluster.actors import Hand
from whorl.engines.cluster.leases import Leases
from whorl.engines.cluster.replay import replayed
from whorl.engines.cluster.worker import Batch, Lease
from whorl.engines.crew import Begun
from whorl.engines.journal import Journal

_LOG = logging.getLogger(__name__)


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


class Stage:
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
        paid = {name: len(self._journal.recall(name)) for name in rows}
        if rows:
            self._journal.record([*rows.values()])
        for name, role, replies in rows.values():
            purse.pay(role, replies[paid[name] :])  # type: ignore[arg-type]
        self._sent.by_hand[hand] = batch.counts
        self._journal.recalled = self._sent.recalled
        for finished in batch.ended:
            if self.leases.end(hand, finished.key):
                del self._begins[finished.key]
                yield finished

    def leave(self, hand: Hand) -> None:
        """Take back what a worker had that is sent away."""
        self._forget(hand)
        self.leases.leave(hand)

    def lose(self, hand: Hand, why: str) -> Iterator[Finished[Any]]:
        """Take back what a dead worker had; yields, as failed, what has killed too many."""
        _LOG.info("a worker died, its searches go to others: %s: %s", hand.name, why)
        self._forget(hand)
        for key in self.leases.die(hand):
            del self._begins[key]
            told = f"set aside: workers died over it, the last time alone: {why}"
            yield Finished(key, None, told, {})

    def _forget(self, hand: Hand) -> None:
        """Count what a worker had sent that comes no more; its replies serve whoever goes on."""
        self._sent.lose(hand)
        self._journal.learn()

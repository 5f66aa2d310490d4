"""Leases: which worker of a cluster runs which searches, and what becomes of them when it dies."""

from collections import deque
from collections.abc import Hashable, Iterator
from math import ceil


class Leases:
    """The searches of a stage that have begun and not ended, each lent to one worker or waiting.

    A worker that dies may have been killed by any search that it had. So each of them is a suspect,
    and is lent again together with fewer others: of `width` the first time, `width` to the power of
    1 - deaths / (tries - 1) after so many deaths. The last of its tries it has alone, so that a
    search that is set aside was seen to kill, or had bad luck `tries` times.
    """

    def __init__(self, width: int, tries: int) -> None:
        """width: searches that a worker may have; tries: deaths after which one is set aside."""
        self._room: list[int] = [ceil(width ** (1 - n / (tries - 1))) for n in range(tries - 1)] + [
            1
        ]
        self._room[0] = width
        self._tries = tries
        self._deaths: dict[str, int] = {}
        self._waiting: deque[str] = deque()
        self._lent: dict[Hashable, list[str]] = {}

    def __len__(self) -> int:
        """Searches that have not ended."""
        return len(self._waiting) + sum(map(len, self._lent.values()))

    @property
    def waiting(self) -> int:
        """Searches that are to be lent again."""
        return len(self._waiting)

    def of(self, worker: Hashable) -> list[str]:
        """What a worker has."""
        return self._lent.get(worker, [])

    def has_room(self, worker: Hashable) -> bool:
        """Whether a worker can take a search that is no suspect."""
        return len(self.of(worker)) < self._most(worker)

    def lend(self, worker: Hashable, key: str) -> None:
        """Lend a search that was not lent before."""
        self._lent.setdefault(worker, []).append(key)

    def again(self, worker: Hashable) -> Iterator[str]:
        """Lend a worker those of the waiting searches that it has room for."""
        for _ in range(len(self._waiting)):
            key = self._waiting.popleft()
            most = min(self._most(worker), self._room[self._deaths.get(key, 0)])
            if len(self.of(worker)) < most:
                self.lend(worker, key)
                yield key
            else:
                self._waiting.append(key)

    def end(self, worker: Hashable, key: str) -> bool:
        """Count a search as ended; returns False if the worker does not have it, as after a death
        that was none."""
        if key not in self.of(worker):
            return False
        self._lent[worker].remove(key)
        self._deaths.pop(key, None)
        return True

    def leave(self, worker: Hashable) -> None:
        """Take back what a worker had that is sent away; none of it is a suspect."""
        self._waiting.extend(self._lent.pop(worker, []))

    def die(self, worker: Hashable) -> list[str]:
        """Take back what a dead worker had; returns those that are set aside."""
        aside = []
        for key in self._lent.pop(worker, []):
            self._deaths[key] = self._deaths.get(key, 0) + 1
            if self._deaths[key] < self._tries:
                self._waiting.append(key)
            else:
                del self._deaths[key]
                aside.append(key)
        return aside

    def _most(self, worker: Hashable) -> int:
        deaths = max((self._deaths.get(key, 0) for key in self.of(worker)), default=0)
        return self._room[deaths]

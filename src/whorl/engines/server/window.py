"""How many requests one endpoint has at once: more while it answers, fewer when it is busy."""

import asyncio
from collections import deque


class Window:
    """A limit that feels its way: doubling with every round of answers at first, halved by every
    refusal, then rising by one a round, as TCP does it.

    most: the limit's own limit.
    """

    def __init__(self, most: int, *, start: int = 64) -> None:
        self._most = most
        self._limit = float(min(start, most))
        self._slow_start = True
        self._open = 0
        self._waiting: deque[asyncio.Future[bool]] = deque()
        self._closed_until = 0.0
        self._opening: asyncio.TimerHandle | None = None

    @property
    def limit(self) -> int:
        return int(self._limit)

    @property
    def load(self) -> int:
        """Requests in flight and waiting."""
        return self._open + len(self._waiting)

    @property
    def closed(self) -> bool:
        """Whether the endpoint is left alone now."""
        return asyncio.get_running_loop().time() < self._closed_until

    async def enter(self) -> float | None:
        """Wait for a place; returns when it was given, for `refused`, or None if there is none to
        be waited for, see `send_away`."""
        loop = asyncio.get_running_loop()
        if self._waiting or self._open >= self.limit or self.closed:
            place = loop.create_future()
            self._waiting.append(place)
            self._admit()
            try:
                if not await place:
                    return None
            except asyncio.CancelledError:  # a place that is waited for is passed over by `_admit`
                if not place.cancelled() and place.result():
                    self.leave()
                raise
        else:
            self._open += 1
        return loop.time()

    def leave(self) -> None:
        self._open -= 1
        self._admit()

    def answered(self) -> None:
        """A request was answered: if the window was in use, let it grow."""
        if 2 * self._open >= self.limit:
            grown = self._limit + (1.0 if self._slow_start else 1.0 / self._limit)
            self._limit = min(float(self._most), grown)

    def refused(self, since: float, pause: float) -> None:
        """The endpoint is too busy: halve the window, once for all requests that were under way
        together, and send nothing for `pause` seconds. since: what `enter` returned."""
        now = asyncio.get_running_loop().time()
        if since >= self._closed_until:
            self._slow_start = False
            self._limit = max(1.0, self._limit / 2)
            self._closed_until = now
        self._closed_until = max(self._closed_until, now + pause)

    def send_away(self) -> None:
        """Have all who wait look for a place elsewhere."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(False)

    def _admit(self) -> None:
        loop = asyncio.get_running_loop()
        left = self._closed_until - loop.time()
        if left > 0:
            if self._opening is None:
                self._opening = loop.call_later(left, self._reopen)
            return
        while self._waiting and self._open < self.limit:
            place = self._waiting.popleft()
            if not place.done():
                self._open += 1
                place.set_result(True)

    def _reopen(self) -> None:
        self._opening = None
        self._admit()

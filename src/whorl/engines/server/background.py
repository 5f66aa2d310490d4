"""An engine that answers with coroutines, on an event loop in a thread of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeAlias, TypeVar

from whorl.ask import Ask, Failure, Replies
from whorl.engines.server.address import Address
from whorl.engines.server.transport import LostError, RefusedError, Transport

T = TypeVar("T")

Answer: TypeAlias = Callable[[Ask], Awaitable[Replies | Failure]]
"""Answers one ask. Raises `RefusedError` if it has no answer, `LostError` if nothing will have."""


_Settled: TypeAlias = tuple[int, Replies | Failure]

_GATHER = 0.001
"""Seconds in which answers are gathered for the caller: threads that hand over one at a time spend
more on waking each other than on the work."""


class Background:
    """Answers asks by `begin(transport)`, which is awaited once, at the start.

    The search goes on in the caller's thread while requests are under way. Raises what `begin`
    raises. When no ask will be answered any more, `poll` says so by raising why, after it has
    handed over whatever else was under way: that is paid for.
    """

    def __init__(
        self, address: Address, begin: Callable[[Transport], Coroutine[Any, Any, Answer]]
    ) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="whorl server", daemon=True)
        self._thread.start()
        self._unsent: list[tuple[int, Ask]] = []
        self._settled: list[_Settled] = []
        self._answers: SimpleQueue[list[_Settled]] = SimpleQueue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = 0  # asks under way
        self._fault: Exception | None = None  # why no more are begun
        self._over = False  # and all that were under way are handed over
        self._transport: Transport | None = None
        try:
            secret = address.secret()
            self._transport = self._wait(_made(address, secret))
            self._answer = self._wait(begin(self._transport))
        except BaseException:
            self.close()
            raise

    def submit(self, ticket: int, ask: Ask) -> None:
        self._unsent.append((ticket, ask))

    def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
        if self._unsent:
            asks, self._unsent = self._unsent, []
            self._loop.call_soon_threadsafe(self._start, asks)
        over = self._over  # looked at first: what there was before it is in the queue
        settled: list[_Settled] = []
        try:
            settled = self._answers.get(timeout > 0 and not over, timeout or None)
            while True:
                settled += self._answers.get_nowait()
        except Empty:
            if over and not settled and self._fault is not None:
                raise self._fault from None
            return settled

    def close(self) -> None:
        if self._thread.is_alive():
            self._wait(self._stop())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()

    def _start(self, asks: Sequence[tuple[int, Ask]]) -> None:
        if self._fault is not None:
            return
        for ticket, ask in asks:
            self._open += 1
            task = self._loop.create_task(self._settle(ticket, ask))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _settle(self, ticket: int, ask: Ask) -> None:
        settled: list[_Settled] = []
        try:
            settled.append((ticket, await self._answer(ask)))
        except RefusedError as error:
            settled.append((ticket, Failure(str(error))))
        except LostError as error:
            self._fault = error
            if error.made:
                settled.append((ticket, Failure(str(error), error.made)))
        except Exception as error:  # a fault of ours: it ends this search alone
            what = " ".join(f"{type(error).__name__}: {error}".split())
            settled.append((ticket, Failure(f"a fault in whorl: {what}")))
        self._open -= 1
        if not self._settled:
            self._loop.call_later(_GATHER, self._hand_over)
        self._settled += settled

    def _hand_over(self) -> None:
        settled, self._settled = self._settled, []
        self._answers.put(settled)
        self._over = self._fault is not None and not self._open

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._transport is not None:
            await self._transport.close()

    def _wait(self, doing: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result()


async def _made(address: Address, secret: str) -> Transport:
    return Transport(address, secret)

"""The one scheduler: keeps many searches in flight over the engines that answer their asks."""

import gc
import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, TypeVar

from whorl.ask import Ask, Asking, Engine, Failure, Replies, paid
from whorl.budget import SPENT
from whorl.prompts.thinking import thinking

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Finished(Generic[T]):
    """A search that ended: its key, its result or its error, and its cost.

    key: the search's name.
    result: what it returned; None if it failed.
    error: why it failed, in one line; None if it did not.
    cost: sampled tokens by role, those of asks included that failed when some samples were made.
    """

    key: str
    result: T | None
    error: str | None
    cost: Mapping[str, int]


@dataclass(slots=True, eq=False)
class _Open(Generic[T]):
    """A search in flight: its generator, the batch that is being answered, and its cost so far."""

    key: str
    moves: Asking[T]
    asks: Sequence[Ask] = ()  # held back
    asked: int = 0
    missing: int = 0
    answers: list[Replies] | None = None  # what to send next; None starts the generator
    failure: str | None = None
    cost: dict[str, int] = field(default_factory=dict)


def drive(
    searches: Iterable[tuple[str, Asking[T]]],
    engines: Mapping[str, Engine],
    *,
    width: int = 256,
    seed: int = 0,
    lasts_for: Callable[[int], int] | None = None,
) -> Iterator[Finished[T]]:
    """Run `(key, search)` pairs, at most `width` at once; yield each as it ends.

    lasts_for: how many searches a budget lasts for, at least 1, given how many are begun; see
        `Purse`. No more are begun, and if it falls those begun first go on and the others wait.

    `searches` is read lazily. What a search returns depends only on its key, `seed` and the replies
    to its own asks: not on `width`, nor on the order in which replies arrive. A failed ask or an
    exception inside one search ends that search alone. An ask for a thought becomes several, see
    `prompts.thinking`. An ask that is answered `SPENT` ends its
    search with that error, and no further search is started; those that need no more go on. Raises
    ValueError if `width` is below 1.
    """
    if width < 1:
        raise ValueError(f"width must be at least 1, not {width}")
    # A search makes many objects and no garbage that needs looking for: models and libraries
    # aside, and the rest looked through less often, it costs half.
    often = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
    try:
        room = (lambda begun: min(width, lasts_for(begun))) if lasts_for else (lambda _: width)
        yield from _drive(iter(searches), engines, room, seed)
    finally:
        gc.set_threshold(*often)
        gc.unfreeze()


def _drive(
    source: Iterator[tuple[str, Asking[T]]],
    engines: Mapping[str, Engine],
    room: Callable[[int], int],
    seed: int,
) -> Iterator[Finished[T]]:
    begun: dict[int, _Open[T]] = {}  # oldest first
    ready: deque[_Open[T]] = deque()
    held: list[_Open[T]] = []
    asked: _Asked[T] = _Asked(engines, seed)
    exhausted = False

    while begun or not exhausted:
        most = room(len(begun))
        fresh = not exhausted and len(begun) < most
        if fresh:
            item = next(source, None)
            exhausted = item is None
            if item is not None:
                key, moves = item
                search = _Open(key, thinking(moves))
                begun[id(search)] = search
                ready.append(search)

        while ready:
            search = ready.popleft()
            finished, search.asks = _resume(search, engines)
            if finished is None:
                held.append(search)
            else:
                del begun[id(search)]
                yield finished

        first = begun if len(begun) <= most else set(islice(begun, most))
        going = [search for search in held if id(search) in first]
        held = [search for search in held if id(search) not in first]
        for search in going:
            asked.submit(search)
        ready += [search for search in going if not search.missing]

        if not (fresh or ready):
            for search, answer in asked.poll():
                exhausted = exhausted or answer is SPENT
                if not search.missing:
                    ready.append(search)


class _Asked(Generic[T]):
    """Asks in flight, each with the search and the slot of its batch that wait for the answer."""

    def __init__(self, engines: Mapping[str, Engine], seed: int) -> None:
        self._engines = engines
        self._seed = seed
        self._distinct = {id(engine): engine for engine in engines.values()}
        self._pending = dict.fromkeys(self._distinct, 0)
        self._waiting: dict[int, tuple[_Open[T], int, Ask]] = {}
        self._tickets = 0

    def submit(self, search: _Open[T]) -> None:
        """Ask what a search asks."""
        search.missing = len(search.asks)
        search.answers = [()] * len(search.asks)
        for slot, ask in enumerate(search.asks):
            ask = ask.seeded(seed_for(self._seed, search.key, search.asked))
            search.asked += 1
            engine = self._engines[ask.role]
            self._waiting[self._tickets] = (search, slot, ask)
            self._pending[id(engine)] += 1
            engine.submit(self._tickets, ask)
            self._tickets += 1

    def poll(self) -> Iterator[tuple[_Open[T], Replies | Failure]]:
        """Settle what is answered; waits a moment, and only if nothing is."""
        for ticket, answer in _poll(self._distinct, self._pending):
            search, slot, ask = self._waiting.pop(ticket)
            self._pending[id(self._engines[ask.role])] -= 1
            _settle(search, slot, ask, answer)
            yield search, answer


def seed_for(seed: int, key: str, ordinal: int) -> int:
    """The seed of a search's `ordinal`-th ask: 63 bits that never depend on arrival order."""
    name = f"{seed}\x00{key}\x00{ordinal}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big") >> 1


def _resume(
    search: _Open[T], engines: Mapping[str, Engine]
) -> tuple[Finished[T] | None, list[Ask]]:
    """Send answers to a search, which then ends or asks again."""

    def ended(result: T | None, error: str | None) -> tuple[Finished[T], list[Ask]]:
        search.moves.close()
        return Finished(search.key, result, error, search.cost), []

    if search.failure is not None:
        return ended(None, search.failure)
    try:
        asks = list(search.moves.send(search.answers))  # type: ignore[arg-type]
    except StopIteration as stop:
        return ended(stop.value, None)
    except Exception as error:  # a search's own fault must not take the others with it
        return ended(None, f"{type(error).__name__}: {error}")
    for ask in asks:
        if ask.role not in engines:
            return ended(None, f"no engine for role {ask.role!r}")
    return None, asks


def _poll(
    distinct: Mapping[int, Engine], pending: Mapping[int, int]
) -> list[tuple[int, Replies | Failure]]:
    """Collect what is done; wait a moment, and only if nothing is."""
    busy = [distinct[name] for name, count in pending.items() if count]
    for timeout in (0.0, 0.02 / max(1, len(busy))):
        answers = [answer for engine in busy for answer in engine.poll(timeout)]
        if answers:
            return answers
    return []


def _settle(search: _Open[T], slot: int, ask: Ask, answer: Replies | Failure) -> None:
    search.missing -= 1
    if bought := paid(answer):  # some were made all the same where an ask fails
        tokens = sum(reply.tokens for reply in bought)
        search.cost[ask.role] = search.cost.get(ask.role, 0) + tokens
    if isinstance(answer, Failure):
        error = answer.error if answer is SPENT else f"{ask.role}: {answer.error}"
        search.failure = search.failure or error
        return
    assert search.answers is not None
    search.answers[slot] = answer

"""The one scheduler: keeps many searches in flight over the engines that answer their asks."""

import gc
import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from whorl.ask import Ask, Asking, Engine, Failure, Replies
from whorl.budget import SPENT
from whorl.prompts.thinking import thinking

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Finished(Generic[T]):
    """A search that ended: its key, its result or its error, and its cost.

    key: the search's name.
    result: what it returned; None if it failed.
    error: why it failed, in one line; None if it did not.
    cost: sampled tokens by role.
    """

    key: str
    result: T | None
    error: str | None
    cost: Mapping[str, int]


@dataclass(slots=True)
class _Open(Generic[T]):
    """A search in flight: its generator, the batch that is being answered, and its cost so far."""

    key: str
    moves: Asking[T]
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
) -> Iterator[Finished[T]]:
    """Run `(key, search)` pairs, at most `width` at once; yield each as it ends.

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
        yield from _drive(searches, engines, width, seed)
    finally:
        gc.set_threshold(*often)
        gc.unfreeze()


def _drive(
    searches: Iterable[tuple[str, Asking[T]]], engines: Mapping[str, Engine], width: int, seed: int
) -> Iterator[Finished[T]]:
    source = iter(searches)
    ready: deque[_Open[T]] = deque()
    waiting: dict[int, tuple[_Open[T], int, Ask]] = {}
    pending: dict[int, int] = {id(engine): 0 for engine in engines.values()}
    distinct = {id(engine): engine for engine in engines.values()}
    in_flight = tickets = 0
    exhausted = False

    while True:
        while not exhausted and in_flight < width:
            item = next(source, None)
            if item is None:
                exhausted = True
                break
            key, moves = item
            ready.append(_Open(key, thinking(moves)))
            in_flight += 1

        while ready:
            search = ready.popleft()
            finished, asks = _resume(search, engines)
            if finished is not None:
                in_flight -= 1
                yield finished
                continue
            search.missing = len(asks)
            search.answers = [()] * len(asks)
            if not asks:
                ready.append(search)
            for slot, ask in enumerate(asks):
                ask = ask.seeded(seed_for(seed, search.key, search.asked))
                search.asked += 1
                engine = engines[ask.role]
                waiting[tickets] = (search, slot, ask)
                pending[id(engine)] += 1
                engine.submit(tickets, ask)
                tickets += 1

        if exhausted and not in_flight:
            return
        for ticket, answer in _poll(distinct, pending):
            search, slot, ask = waiting.pop(ticket)
            pending[id(engines[ask.role])] -= 1
            exhausted = exhausted or answer is SPENT
            _settle(search, slot, ask, answer)
            if not search.missing:
                ready.append(search)


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
    if isinstance(answer, Failure):
        error = answer.error if answer is SPENT else f"{ask.role}: {answer.error}"
        search.failure = search.failure or error
        return
    assert search.answers is not None
    search.answers[slot] = answer
    tokens = sum(reply.tokens for reply in answer)
    search.cost[ask.role] = search.cost.get(ask.role, 0) + tokens

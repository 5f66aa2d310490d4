"""An engine over simulated servers, and asks to it."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import pytest

from whorl.ask import Ask, Engine, Failure, Prompt, Replies
from whorl.engines import open_engine
from whorl.models import POLICY

Opened = Callable[..., Engine]
SOLVE = Prompt("", "Problem: Mia has 7 apples and buys 5 more. How many has she?")
STEP = Ask(SOLVE, n=3, stop=("\n\n",), max_tokens=64, seed=7)


def answers(
    engine: Engine, asks: Sequence[Ask], *, seconds: float = 30.0
) -> list[Replies | Failure]:
    """What the engine says to each ask."""
    for ticket, ask in enumerate(asks):
        engine.submit(ticket, ask)
    found: dict[int, Replies | Failure] = {}
    end = time.monotonic() + seconds
    while len(found) < len(asks):
        assert time.monotonic() < end, f"{len(found)} of {len(asks)} answers came"
        found.update(engine.poll(0.1))
    return [found[ticket] for ticket in range(len(asks))]


def answer(engine: Engine, ask: Ask) -> Replies:
    """The replies to one ask, which must not fail."""
    (said,) = answers(engine, [ask])
    assert not isinstance(said, Failure), said.error
    return said


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Opens an engine over the servers at `urls`, with the shipped policy's tokenizer unless
    another or none is wanted; closes it at the end."""
    with ExitStack() as stack:

        def open_(*urls: str, tokenizer: object = POLICY, **settings: object) -> Engine:
            said = {"tokenizer": tokenizer} if tokenizer else {}
            query = "&".join(f"{name}={value}" for name, value in (said | settings).items())
            engine = open_engine(f"server:{','.join(urls)}?{query}")
            stack.callback(engine.close)
            return engine

        yield open_

"""What an engine is asked and what it generates, counted."""

from collections.abc import Sequence
from typing import Protocol

from whorl.ask import Ask, Engine, Failure, Replies, made, paid


class Counts(Protocol):
    """Counts of an engine, or of many: see `Meter`."""

    @property
    def tokens(self) -> int:
        """Sampled tokens."""

    @property
    def prompt_tokens(self) -> int:
        """Tokens of prompts that were read."""

    @property
    def cached_tokens(self) -> int:
        """Those of them that engines knew from before."""

    @property
    def in_flight(self) -> int:
        """Asks that wait for an answer now."""


class Meter:
    """An engine that passes everything on and counts it. The counts never go down.

    Put it inside the journal, so that replies from the record do not count as generated:
    `journal.wrap(Meter(engine))`.

    asks: submitted.
    answered: of those, answered with replies.
    failed: of those, failed.
    samples: replies received.
    tokens: sampled tokens in them, and in samples that are withheld.
    prompt_tokens, cached_tokens: read for both, and those of them that the engine knew from before.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.asks = 0
        self.answered = 0
        self.failed = 0
        self.samples = 0
        self.tokens = 0
        self.prompt_tokens = 0
        self.cached_tokens = 0

    @property
    def in_flight(self) -> int:
        """Asks that wait for an answer now."""
        return self.asks - self.answered - self.failed

    def submit(self, ticket: int, ask: Ask) -> None:
        self._engine.submit(ticket, ask)
        self.asks += 1

    def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
        answers = self._engine.poll(timeout)
        for _, answer in answers:
            if isinstance(answer, Failure):
                self.failed += 1
            else:
                self.answered += 1
            self.samples += len(made(answer))
            for reply in paid(answer):
                self.tokens += reply.tokens
                self.prompt_tokens += reply.prompt_tokens
                self.cached_tokens += reply.cached_tokens
        return answers

    def close(self) -> None:
        self._engine.close()

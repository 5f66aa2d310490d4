"""Budgets and costs: tokens, requests, seconds and money, of a run and of each of its searches.

A problem's budget is kept by `within_limits`, from the replies to its search alone, so that a
search that is replayed ends where it ended. A run's is kept by a `Purse` between the journal and
the engines, where nothing passes but what has to be paid.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from whorl.ask import Ask, Asking, Engine, Failure, Replies, T, made

SPENT = Failure("the budget is spent")
"""The answer to an ask that was not passed on; `drive` suspends the search that gets it."""


class OutOfBudget(Exception):
    """Thrown into a search at an ask that would exceed the search's budget."""


@dataclass(frozen=True, slots=True)
class Price:
    """Price of a million tokens of a role's engine, in any currency.

    prompt, sampled: tokens that are read and that are written.
    cached: those of the prompt that the engine knew from earlier ones; None: as the others.
    """

    prompt: float = 0.0
    sampled: float = 0.0
    cached: float | None = None

    def __post_init__(self) -> None:
        if not all(price >= 0 for price in (self.prompt, self.sampled, self.cached or 0.0)):
            raise ValueError("a price must not be negative")

    def of(self, usage: "Usage") -> float:
        """Cost of `usage`, in the currency of the prices."""
        cached = self.prompt if self.cached is None else self.cached
        new = usage.prompt - usage.cached
        return (new * self.prompt + usage.cached * cached + usage.sampled * self.sampled) / 1e6


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices by role; judges cost nothing."""

    policy: Price = Price()
    critic: Price = Price()
    reviser: Price = Price()
    small: Price = Price()
    prm: Price = Price()


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper limits of what may be spent; None is no limit.

    tokens: sampled ones.
    requests: asks to models; those to judges do not count.
    seconds: of wall clock, of this call alone.
    money: in the currency of the prices.
    """

    tokens: int | None = None
    requests: int | None = None
    seconds: float | None = None
    money: float | None = None

    def __post_init__(self) -> None:
        for name, limit in self.named().items():
            if not limit > 0:
                raise ValueError(f"{name} must be above 0, not {limit}")

    def named(self) -> Mapping[str, float]:
        """The limits that are set, by name."""
        limits = {field.name: getattr(self, field.name) for field in fields(Limits)}
        return {name: limit for name, limit in limits.items() if limit is not None}

    def reached(self, spent: "Spent", more: int, seconds: float) -> str:
        """The limit that `more` requests would exceed, as a setting (`tokens = 1000`); empty if
        none.

        Tokens and money are known when they are spent, so what is in flight may exceed the limit.
        """
        for name, limit in self.named().items():
            if name == "requests":
                over = spent.requests + more > limit
            else:
                over = (seconds if name == "seconds" else getattr(spent, name)) >= limit
            if over:
                return f"{name} = {limit}"
        return ""


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of a run, limits of each search in it, and the prices of tokens.

    tokens, requests, seconds, money: of the whole run, see `Limits`. What an earlier call spent
        counts, its seconds aside. When one is reached nothing more is asked.
    problem: of each search alone, so of a problem, or of each arm of it. When one is reached the
        tree stays as it is.
    """

    tokens: int | None = None
    requests: int | None = None
    seconds: float | None = None
    money: float | None = None
    problem: Limits = Limits()
    prices: Prices = Prices()

    def __post_init__(self) -> None:
        unpriced = self.prices == Prices()
        if unpriced and (self.run.money is not None or self.problem.money is not None):
            raise ValueError("money needs prices, for example prices.policy.sampled = 0.4")

    @property
    def run(self) -> Limits:
        """The limits of the whole run."""
        return Limits(self.tokens, self.requests, self.seconds, self.money)


@dataclass(slots=True)
class Usage:
    """Counts of one role: asks, and tokens as in `Reply`."""

    requests: int = 0
    sampled: int = 0
    prompt: int = 0
    cached: int = 0


class Spent:
    """Cost of the asks that were answered, by role.

    Counts are kept by role and priced when looked at, so that the money does not depend on the
    order in which replies come.
    """

    def __init__(self, prices: Prices) -> None:
        self._prices = prices
        self._roles = {role.name: Usage() for role in fields(Prices)}

    @property
    def requests(self) -> int:
        return sum(usage.requests for usage in self._roles.values())

    @property
    def tokens(self) -> int:
        return sum(usage.sampled for usage in self._roles.values())

    @property
    def money(self) -> float:
        prices: dict[str, Price] = {role: getattr(self._prices, role) for role in self._roles}
        return sum(prices[role].of(usage) for role, usage in self._roles.items())

    def pay(self, role: str, replies: Replies) -> None:
        """Count the replies to one ask of a model."""
        usage = self._roles[role]
        usage.requests += 1
        for reply in replies:
            usage.sampled += reply.tokens
            usage.prompt += reply.prompt_tokens
            usage.cached += reply.cached_tokens

    def add(self, role: str, more: Usage) -> None:
        """Add usage that was paid for before."""
        usage = self._roles[role]
        usage.requests += more.requests
        usage.sampled += more.sampled
        usage.prompt += more.prompt
        usage.cached += more.cached


def within_limits(moves: Asking[T], limits: Limits, prices: Prices) -> Asking[T]:
    """A search that receives `OutOfBudget` at the first ask that would exceed `limits`.

    What comes of that is up to the search: one that keeps what it has (`search.kept`) returns it.
    Asks to judges alone always pass.
    """
    spent, start = Spent(prices), time.monotonic()
    try:
        asks = next(moves)
        while True:
            more = sum(_paid(ask) for ask in asks)
            limit = limits.reached(spent, more, time.monotonic() - start) if more else ""
            if limit:
                asks = moves.throw(OutOfBudget(f"budget.problem.{limit} is spent"))
                continue
            answers = yield asks
            for ask, replies in zip(asks, answers, strict=True):
                if _paid(ask):
                    spent.pay(ask.role, replies)
            asks = moves.send(answers)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        moves.close()


class Purse:
    """The budget of a run: counts what all its engines spend and ends the run's asks at a limit.

    Put it inside the journal and outside what counts asks: `journal.wrap(purse.wrap(engine))`. Then
    what the journal knows costs nothing. Seconds run from its making. Without a budget nothing is
    counted.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.spent = Spent(budget.prices)
        self._limits = budget.run
        self._counted: set[Path] = set()
        self._in_flight = 0
        self._ended = ""
        self._start = time.monotonic()
        self._before: tuple[float, float, float] = (0, 0, 0.0)

    def count(self, journal: Path, earlier: Iterable[tuple[str, Usage]]) -> None:
        """Count the usage by role that a journal of the run has on record. Each journal once: what
        is recorded later is paid from this purse."""
        if self.budget == Budget() or journal in self._counted:
            return  # it takes a while to look, and nothing depends on it
        self._counted.add(journal)
        then = self._now
        for role, usage in earlier:
            self.spent.add(role, usage)
        tokens, requests, money = (
            before + now - last
            for before, now, last in zip(self._before, self._now, then, strict=True)
        )
        self._before = tokens, requests, money

    def limit(self, moves: Asking[T]) -> Asking[T]:
        """The search with a problem's budget around it; see `within_limits`."""
        limits = self.budget.problem
        return moves if limits == Limits() else within_limits(moves, limits, self.budget.prices)

    @property
    def ended(self) -> str:
        """The limit that was reached, as a setting; empty as long as asks are passed on."""
        passed = time.monotonic() - self._start
        self._ended = self._ended or self._limits.reached(self.spent, self._in_flight + 1, passed)
        return self._ended

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds until a limit is reached, at this call's rate of spending; None without
        a limit."""
        passed = time.monotonic() - self._start
        limits = (self._limits.tokens, self._limits.requests, self._limits.money)
        left = [] if self._limits.seconds is None else [self._limits.seconds - passed]
        for limit, before, now in zip(limits, self._before, self._now, strict=True):
            if limit is not None and now > before:
                left.append((limit - now) * passed / (now - before))
        return max(0.0, min(left)) if left else None

    @property
    def _now(self) -> tuple[float, float, float]:
        return self.spent.tokens, self.spent.requests, self.spent.money

    def wrap(self, engine: Engine) -> Engine:
        """An engine whose asks are paid from this purse; once the purse is empty, asks of models
        fail with `SPENT`."""
        return engine if self.budget == Budget() else _Paid(self, engine)


class _Paid:
    """An engine seen through a purse."""

    def __init__(self, purse: Purse, engine: Engine) -> None:
        self._purse = purse
        self._engine = engine
        self._roles: dict[int, str] = {}  # of tickets in flight
        self._refused: list[tuple[int, Replies | Failure]] = []

    def submit(self, ticket: int, ask: Ask) -> None:
        if _paid(ask):
            if self._purse.ended:
                self._refused.append((ticket, SPENT))
                return
            self._purse._in_flight += 1
            self._roles[ticket] = ask.role
        self._engine.submit(ticket, ask)

    def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
        refused, self._refused = self._refused, []
        answers = self._engine.poll(0.0 if refused else timeout)
        for ticket, answer in answers:
            role = self._roles.pop(ticket, None)
            if role is not None:
                self._purse._in_flight -= 1
                if replies := made(answer):
                    self._purse.spent.pay(role, replies)
        return [*refused, *answers]

    def close(self) -> None:
        self._engine.close()


def _paid(ask: Ask) -> bool:
    return ask.role != "judge"

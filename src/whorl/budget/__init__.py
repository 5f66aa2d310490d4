"""Budgets and costs: tokens, requests, seconds and money, of a run and of each of its searches.

A problem's budget is kept by `within_limits`, from the replies to its search alone, so that a
search that is replayed ends where it ended, unless its limit is one of seconds: those are of the
clock, and run anew. A run's is kept by a `purse.Purse` between the journal and the engines, where
nothing passes but what has to be paid.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, fields

from whorl.ask import Ask, Asking, Failure, Replies, T
from whorl.prompts.thinking import thinking

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
    teacher: Price = Price()


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
        priced, run = self.prices != Prices(), self.run  # whose limits are looked at
        if not priced and (run.money is not None or self.problem.money is not None):
            raise ValueError("money needs prices, for example prices.policy.sampled = 0.4")

    @property
    def run(self) -> Limits:
        """The limits of the whole run."""
        return Limits(self.tokens, self.requests, self.seconds, self.money)

    def of_problems(self) -> "Budget":
        """The budget without the limits of the whole run."""
        return Budget(problem=self.problem, prices=self.prices)


@dataclass(slots=True)
class Usage:
    """Counts of one role: asks, and tokens as in `Reply`."""

    requests: int = 0
    sampled: int = 0
    prompt: int = 0
    cached: int = 0

    def times(self, factor: float) -> "Usage":
        """The usage `factor` times, in whole asks and tokens."""
        return Usage(*(round(factor * getattr(self, field.name)) for field in fields(Usage)))


class Spent:
    """Cost of the asks that were answered, by role.

    Counts are kept `by_role` and priced when looked at, so that the money does not depend on the
    order in which replies come.
    """

    def __init__(self, prices: Prices) -> None:
        self._prices = prices
        self.by_role = {role.name: Usage() for role in fields(Prices)}

    @property
    def requests(self) -> int:
        return sum(usage.requests for usage in self.by_role.values())

    @property
    def tokens(self) -> int:
        return sum(usage.sampled for usage in self.by_role.values())

    @property
    def money(self) -> float:
        prices: dict[str, Price] = {role: getattr(self._prices, role) for role in self.by_role}
        return sum(prices[role].of(usage) for role, usage in self.by_role.items())

    def amounts(self) -> dict[str, float]:
        """Amounts spent, by the name of the limit of `Limits` that they count for."""
        return {"tokens": self.tokens, "requests": self.requests, "money": self.money}

    def pay(self, role: str, replies: Replies) -> None:
        """Count the replies to one ask of a model."""
        usage = self.by_role[role]
        usage.requests += 1
        for reply in replies:
            usage.sampled += reply.tokens
            usage.prompt += reply.prompt_tokens
            usage.cached += reply.cached_tokens

    def add(self, role: str, more: Usage) -> None:
        """Add usage that was paid for before."""
        usage = self.by_role[role]
        usage.requests += more.requests
        usage.sampled += more.sampled
        usage.prompt += more.prompt
        usage.cached += more.cached


def within_limits(moves: Asking[T], limits: Limits, prices: Prices) -> Asking[T]:
    """A search that receives `OutOfBudget` at the first ask that would exceed `limits`.

    What comes of that is up to the search: one that keeps what it has (`search.within_budget`)
    returns it. Asks to judges alone always pass. A thought and what follows it are asks of their
    own.
    """
    moves = thinking(moves)  # else a thought and all that follows would be one request
    spent, start = Spent(prices), time.monotonic()
    try:
        asks = next(moves)
        while True:
            more = sum(is_paid(ask) for ask in asks)
            limit = limits.reached(spent, more, time.monotonic() - start) if more else ""
            if limit:
                asks = moves.throw(OutOfBudget(f"budget.problem.{limit} is spent"))
                continue
            answers = yield asks
            for ask, replies in zip(asks, answers, strict=True):
                if is_paid(ask):
                    spent.pay(ask.role, replies)
            asks = moves.send(answers)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        moves.close()


def limited(moves: Asking[T], budget: "Budget") -> Asking[T]:
    """The search with the budget of a problem around it; see `within_limits`."""
    limits = budget.problem
    return moves if limits == Limits() else within_limits(moves, limits, budget.prices)


def is_paid(ask: Ask) -> bool:
    """Whether an ask costs anything: judges do not."""
    return ask.role != "judge"

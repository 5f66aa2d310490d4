"""The purse of a run: what all its engines spend, and how many searches the rest is likely to
finish."""

import math
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from whorl.ask import Ask, Engine, Failure, Replies, Role, paid
from whorl.budget import SPENT, Budget, Spent, Usage, is_paid

ALL = sys.maxsize
WORTH = 0.5
"""The last search is begun if so much of the mean cost of one is left: many cost less."""


class Purse:
    """The budget of a run: counts what all its engines spend and ends the run's asks at a limit.

    Put it inside the journal and outside what counts asks: `journal.wrap(purse.wrap(engine))`. Then
    what the journal knows costs nothing. Seconds run from its making. Without a budget nothing is
    counted.

    samples_at_most: of one search, see `Recipe`; until a search has ended, what one costs is
        guessed by it. 0: unknown.
    """

    def __init__(self, budget: Budget, *, samples_at_most: int = 0) -> None:
        self.budget = budget
        self.spent = Spent(budget.prices)
        self._limits = budget.run.named()
        self._most = samples_at_most
        self._counted: set[Path] = set()
        self._flying = {role: _Flying() for role in self.spent.by_role}
        self._samples = 0
        self._ended = self._ended_before = 0  # searches
        self._limit = ""
        self._start = time.monotonic()
        self._before = {**self._now, "seconds": 0.0}

    def count(self, journal: Path, earlier: Iterable[tuple[str, Usage]], searches: int) -> None:
        """Count the usage by role that a journal of the run has on record, and the `searches` that
        it finished. Each journal once: what is recorded later is paid from this purse."""
        if self.budget == Budget() or journal in self._counted:
            return  # it takes a while to look, and nothing depends on it
        self._counted.add(journal)
        then = self._now
        for role, usage in earlier:
            self.spent.add(role, usage)
            self._samples += usage.requests  # at least
        now = self._now
        self._before |= {name: self._before[name] + now[name] - then[name] for name in _PAID}
        self._ended += searches
        self._ended_before += searches

    def pay(self, role: Role, replies: Replies) -> None:
        """Count replies of an engine that this purse does not wrap, as it is in another process."""
        if self.budget != Budget() and role != "judge":
            self.spent.pay(role, replies)
            self._samples += len(replies)

    def finish(self) -> None:
        """Count a search that came to its end."""
        self._ended += 1

    @property
    def ended(self) -> str:
        """The limit that was reached, as a setting; empty as long as asks are passed on."""
        if not self._limit:
            spent = self._now
            reached = (name for name, limit in self._limits.items() if spent[name] >= limit)
            self._limit = next(reached, "")
        return f"{self._limit} = {self._limits[self._limit]}" if self._limit else ""

    def lasts_for(self, begun: int) -> int:
        """How many searches the rest is likely to finish, of which `begun` are begun; at least 1.
        Where it is too little for another one, the budget ends.

        A search is taken to cost what is spent over the number of those that ended. What is spent
        on the others is counted in, so few are begun until some have ended, and fewer towards the
        end. And a standard error dearer, as if costs spread as widely as their mean: the first to
        end are the cheap ones.
        """
        if not self._limits or self.ended:
            return ALL
        name, searches = self._estimate()
        if searches < WORTH and not begun:
            self._limit = name
        return max(1, int(searches / (1 + 1 / math.sqrt(max(1, self._ended)))))

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds until a limit is reached, at this call's rate of spending; None without
        a limit."""
        spent = self._now
        left = [
            (limit - spent[name]) * spent["seconds"] / (spent[name] - self._before[name])
            for name, limit in self._limits.items()
            if spent[name] > self._before[name]
        ]
        return max(0.0, min(left)) if left else None

    def lines(self) -> Iterator[str]:
        """Lines that say what is spent of each limit of the run, and what it was overrun by."""
        spent = self._now
        for name, limit in self._limits.items():
            over = f", {spent[name] - limit:,.6g} over" if spent[name] > limit else ""
            yield f"budget.{name} = {limit}: {spent[name]:,.6g} spent{over}"

    def wrap(self, engine: Engine) -> Engine:
        """An engine whose asks are paid from this purse. Asks that the rest is unlikely to pay for
        wait for those in flight; once the purse is empty, asks of models fail with `SPENT`."""
        return engine if self.budget == Budget() else _Paid(self, engine)

    def _affords(self, ask: Ask) -> bool:
        """Whether the rest is likely to pay for what is in flight and for `ask`."""
        if not any(flying.asks for flying in self._flying.values()):
            return True
        expected = self._expected(ask)
        return all(expected[name] <= self._limits.get(name, expected[name]) for name in _PAID)

    def _pass(self, ask: Ask) -> None:
        self._flying[ask.role].change(ask, 1)

    def _pay(self, ask: Ask, replies: Replies) -> None:
        self._flying[ask.role].change(ask, -1)
        if replies:
            self.spent.pay(ask.role, replies)
            self._samples += len(replies)

    @property
    def _now(self) -> dict[str, float]:
        """Amounts spent, by the name of their limit."""
        return {**self.spent.amounts(), "seconds": time.monotonic() - self._start}

    def _expected(self, more: Ask | None = None) -> dict[str, float]:
        """Amounts spent, seconds aside, when what is in flight and `more` are answered: each
        ask for what its role's cost so far, the first ones for the most that they can."""
        if more:
            self._pass(more)
        total = Spent(self.budget.prices)
        for role, usage in self.spent.by_role.items():
            flying = self._flying[role]
            total.add(role, usage)
            if usage.requests:
                total.add(role, usage.times(flying.asks / usage.requests))
            else:
                total.add(role, Usage(flying.asks, flying.most))
        if more:
            self._flying[more.role].change(more, -1)
        return total.amounts()

    def _estimate(self) -> tuple[str, float]:
        """How many searches the rest is likely to finish, and the limit that says so."""
        spent, expected = self._now, self._expected()
        ended = max(self._ended, self._samples / self._most if self._most else 0)
        likely = [("", float(ALL))]
        for name, limit in self._limits.items():
            if name == "seconds":  # at the rate of this call
                ended_now = self._ended - self._ended_before
                if ended_now:
                    left = limit - spent[name]
                    likely.append((name, left * ended_now / spent[name]))
            elif not ended:
                likely.append((name, 1.0))
            elif spent[name]:
                likely.append((name, (limit - expected[name]) * ended / spent[name]))
        return min(likely, key=lambda each: each[1])


_PAID = ("tokens", "requests", "money")


class _Flying:
    """Asks in flight of one role: how many, and the tokens that they may cost at most."""

    def __init__(self) -> None:
        self.asks = 0
        self.most = 0

    def change(self, ask: Ask, by: int) -> None:
        self.asks += by
        self.most += by * ask.n * ask.max_tokens


class _Paid:
    """An engine seen through a purse."""

    def __init__(self, purse: Purse, engine: Engine) -> None:
        self._purse = purse
        self._engine = engine
        self._waiting: deque[tuple[int, Ask]] = deque()
        self._asked: dict[int, Ask] = {}  # by ticket, in flight
        self._refused: list[tuple[int, Replies | Failure]] = []

    def submit(self, ticket: int, ask: Ask) -> None:
        if is_paid(ask):
            self._waiting.append((ticket, ask))
            self._pass_on()
        else:
            self._engine.submit(ticket, ask)

    def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
        answers = self._engine.poll(0.0 if self._refused else timeout)
        for ticket, answer in answers:
            if ask := self._asked.pop(ticket, None):
                self._purse._pay(ask, paid(answer))
        self._pass_on()
        refused, self._refused = self._refused, []
        return [*refused, *answers]

    def close(self) -> None:
        self._engine.close()

    def _pass_on(self) -> None:
        """Pass on what waits and can be paid; refuse it once the budget has ended."""
        while self._waiting:
            if self._purse.ended:
                self._refused += [(ticket, SPENT) for ticket, _ in self._waiting]
                self._waiting.clear()
            elif self._purse._affords(self._waiting[0][1]):
                ticket, ask = self._waiting.popleft()
                self._asked[ticket] = ask
                self._purse._pass(ask)
                self._engine.submit(ticket, ask)
            else:
                return

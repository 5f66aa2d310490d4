"""Judges: verdicts in processes of their own, each killed when an answer takes it too long.

One process forks the judges, so that a new one costs milliseconds. A judge reads pairs (gold,
answer) from a socket and writes verdicts. No alarm runs inside: arithmetic on huge numbers holds
the interpreter for as long as it takes, so only another process can end it. A verdict that does not
come in time is "undecided", never "wrong". Whose process dies is judged again, by another one: what
ended it may be anything, such as a system without memory. Over what three die is undecided.
"""

import json
import math
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection, wait
from typing import NamedTuple

from whorl.answer import USUAL, Conventions, compare
from whorl.ask import Ask, Failure, Prompt, Replies, Reply
from whorl.engines.judge.nursery import Nursery
from whorl.errors import UserError

_BLOATED = 1 << 30  # bytes a process has held at most; one that needed more is replaced
_DEATHS = 3  # of processes over one pair, or before one has come up
_START = 120.0  # seconds a process may take to start on a loaded machine
_REMEMBERED = 20_000  # pairs


class Judgement(NamedTuple):
    """A verdict, why, and the seconds that it took; value: 1.0 right, 0.0 wrong, None undecided."""

    value: float | None
    reason: str
    seconds: float


class Judges:
    """Answers asks of role `judge`: `Prompt(system="", user=GOLD, prefix=ANSWER)` is replied to by
    `Reply(value=1.0)` right, `0.0` wrong or `None` undecided; the reply's text is the reason.

    workers: processes; they start at the first ask that arithmetic does not settle.
    deadline: seconds one pair may take.
    rules: what counts as the same answer.
    """

    def __init__(self, workers: int = 1, deadline: float = 2.0, rules: Conventions = USUAL) -> None:
        if workers < 1 or deadline <= 0:
            raise ValueError("judges need at least one worker and a deadline above 0")
        self._size = workers
        self._deadline = deadline
        self._rules = rules
        self._nursery: Nursery | None = None
        self._workers: list[_Worker] = []
        self._queue: deque[_Pair] = deque()
        self._tickets: dict[_Pair, list[tuple[int, int]]] = {}  # who waits for a pair, and n
        self._known: dict[_Pair, Judgement] = {}
        self._done: list[tuple[int, int, Judgement | Failure]] = []
        self._deaths: Counter[_Pair] = Counter()
        self._stillborn = 0  # processes in a row that did not come up

    def submit(self, ticket: int, ask: Ask) -> None:
        pair = ask.prompt.user, ask.prompt.prefix
        begun = time.perf_counter()
        right, reason = compare(*pair, self._rules)
        if right is not None:
            judgement = Judgement(float(right), reason, time.perf_counter() - begun)
            self._done.append((ticket, ask.n, judgement))
        elif pair in self._known:
            self._done.append((ticket, ask.n, self._known[pair]))
        elif pair in self._tickets:
            self._tickets[pair].append((ticket, ask.n))
        else:
            self._tickets[pair] = [(ticket, ask.n)]
            self._queue.append(pair)

    def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
        return [
            (ticket, (Reply(text=found.reason, value=found.value),) * n)
            if isinstance(found, Judgement)
            else (ticket, found)
            for ticket, n, found in self._poll(timeout)
        ]

    def judge(
        self, pairs: Iterable[tuple[str, str | None]], *, ahead: int = 10_000
    ) -> Iterator[Judgement]:
        """A judgement for each pair (gold, answer), in their order; no answer is not right. Reads
        up to `ahead` pairs further than the one it waits for. For judges with no other asks.

        Raises `UserError` if the judges cannot be started.
        """
        waiting: deque[int] = deque()
        found: dict[int, Judgement] = {}
        for ticket, (gold, answer) in enumerate(pairs):
            waiting.append(ticket)
            if answer is None:
                found[ticket] = Judgement(0.0, "no final answer", 0.0)
            else:
                self.submit(ticket, Ask(Prompt("", gold, answer), role="judge"))
            found |= self._found(0.0)
            while waiting and (waiting[0] in found or len(waiting) >= ahead):
                while waiting[0] not in found:
                    found |= self._found(1.0)
                yield found.pop(waiting.popleft())
        for ticket in waiting:
            while ticket not in found:
                found |= self._found(1.0)
            yield found.pop(ticket)

    def _found(self, timeout: float) -> dict[int, Judgement]:
        found: dict[int, Judgement] = {}
        for ticket, _, judgement in self._poll(timeout):
            if isinstance(judgement, Failure):
                raise UserError(judgement.error)
            found[ticket] = judgement
        return found

    def _poll(self, timeout: float) -> list[tuple[int, int, Judgement | Failure]]:
        until = time.monotonic() + timeout
        while True:
            self._hand_out()
            now = time.monotonic()
            busy = [worker for worker in self._workers if worker.busy]
            turns = (worker.due if now >= worker.late else worker.late for worker in busy)
            soon = now if self._done else min([until, *turns])
            connections = [worker.connection for worker in busy]
            heard = wait(connections, max(0.0, soon - now)) if busy else []
            for worker in busy:
                if worker.connection in heard:
                    self._hear(worker)
                elif time.monotonic() >= worker.due:
                    self._end_late(worker)
            if self._done or not busy or time.monotonic() >= until:
                self._hand_out()
                done, self._done = self._done, []
                return done

    def close(self) -> None:
        for worker in self._workers:
            worker.connection.close()
        if self._nursery is not None:
            self._nursery.close()
            self._nursery = None
        self._workers.clear()
        self._queue.clear()
        self._tickets.clear()

    def _hand_out(self) -> None:
        """Give each idle process a pair, and start as many as there are pairs for. A process that
        is late has a second beside it meanwhile, so that what hangs holds up nobody else."""
        idle = [worker for worker in self._workers if not worker.busy]
        while self._queue and idle:
            worker = idle.pop()
            try:
                worker.judge(self._queue[0], self._deadline)
            except OSError:  # it died while it had nothing to do
                self._end(worker)
            else:
                self._queue.popleft()
        now = time.monotonic()
        late = sum(worker.busy and now >= worker.late for worker in self._workers)
        size = self._size + min(late, self._size)
        starting = sum(worker.busy and worker.pair is None for worker in self._workers)
        while len(self._workers) < size and len(self._queue) > starting:
            if self._nursery is not None and self._nursery.dead:
                self._nursery.close()
                self._nursery = None
            self._nursery = self._nursery or Nursery()
            self._workers.append(_Worker(self._nursery.bear()))
            starting += 1
        for worker in idle[: max(0, len(self._workers) - size)]:
            self._end(worker)

    def _hear(self, worker: "_Worker") -> None:
        try:
            said = json.loads(worker.connection.recv_bytes())
            if worker.pair is None:
                worker.connection.send_bytes(json.dumps(asdict(self._rules)).encode())
        except (EOFError, OSError):
            self._lose(worker)
            return
        if worker.pair is None:
            worker.process, self._stillborn = said, 0
        else:
            value, reason, seconds, memory = said
            self._settle(worker.pair, Judgement(value, reason, seconds))
            if memory > _BLOATED:
                self._end(worker)
        worker.pair, worker.busy = None, False

    def _end_late(self, worker: "_Worker") -> None:
        """A process is past its time."""
        if worker.pair is None:
            self._lose(worker)
            return
        self._end(worker)
        seconds = self._deadline + time.monotonic() - worker.due
        reason = f"took longer than {self._deadline:g} s"
        self._settle(worker.pair, Judgement(None, reason, seconds))

    def _lose(self, worker: "_Worker") -> None:
        """A process has died, or has not come up, which is no verdict."""
        self._end(worker)
        if worker.pair is None:
            self._stillborn += 1
            if self._stillborn == _DEATHS:
                self._stillborn = 0
                self._give_up()
            return
        self._deaths[worker.pair] += 1
        if self._deaths[worker.pair] < _DEATHS:
            self._queue.append(worker.pair)
        else:
            reason = f"{_DEATHS} judges died of it"
            self._settle(worker.pair, Judgement(None, reason, self._deadline))

    def _give_up(self) -> None:
        """No process comes up: none of the pairs is judged."""
        assert self._nursery is not None
        code = self._nursery.process.poll()
        failure = Failure(f"a judge process did not start (exit code {code})")
        while self._queue:
            for ticket, n in self._tickets.pop(self._queue.popleft()):
                self._done.append((ticket, n, failure))

    def _end(self, worker: "_Worker") -> None:
        worker.connection.close()
        self._workers.remove(worker)
        if worker.process is not None and self._nursery is not None:
            self._nursery.end(worker.process)

    def _settle(self, pair: "_Pair", judgement: Judgement) -> None:
        for ticket, n in self._tickets.pop(pair):
            self._done.append((ticket, n, judgement))
        del self._deaths[pair]
        self._known[pair] = judgement
        if len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]


_Pair = tuple[str, str]  # gold, answer


@dataclass(slots=True, eq=False)
class _Worker:
    """A judge process; busy while it starts and while it judges.

    process: its id, once it has said so. pair: what it judges. due: when it must have answered.
    late: when that takes it longer than most.
    """

    connection: Connection
    busy: bool = True
    due: float = field(default_factory=lambda: time.monotonic() + _START)
    late: float = math.inf
    pair: _Pair | None = None
    process: int | None = None

    def judge(self, pair: _Pair, deadline: float) -> None:
        self.connection.send_bytes(json.dumps([*pair, deadline]).encode())
        now = time.monotonic()
        self.pair, self.busy = pair, True
        self.due, self.late = now + deadline, now + deadline / 4

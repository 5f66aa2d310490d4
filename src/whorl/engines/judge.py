"""Judges: math-verify in processes of its own, each killed when an answer takes it too long.

A process reads pairs (gold, answer) from a socket and writes verdicts. No alarm runs inside: a
power tower holds the interpreter for ever, so only the parent can end it. A verdict that does not
come in time, or whose process dies, is "undecided", never "wrong".
"""

import json
import logging
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait

from whorl.answer import Items, Parts, equal, items, take_apart
from whorl.ask import Ask, Failure, Replies, Reply

Verdict = float | None
"""1.0 right, 0.0 wrong, None undecided."""

_MEMORY = 4 << 30  # bytes of address space per process; the worst answer seen took 0.6 GB
_START = 120.0  # seconds a process may take to load sympy on a loaded machine
_REMEMBERED = 20_000  # pairs
_WORK = "from whorl.engines.judge import work"


class Judges:
    """Answers asks of role `judge`: `Prompt(system="", user=GOLD, prefix=ANSWER)` is replied to by
    `Reply(value=1.0)` right, `0.0` wrong or `None` undecided.

    workers: processes; they start at the first ask that arithmetic does not settle.
    deadline: seconds one pair may take.
    """

    def __init__(self, workers: int = 1, deadline: float = 2.0) -> None:
        if workers < 1 or deadline <= 0:
            raise ValueError("judges need at least one worker and a deadline above 0")
        self._size = workers
        self._deadline = deadline
        self._workers: list[_Worker] = []
        self._queue: deque[_Pair] = deque()
        self._tickets: dict[_Pair, list[tuple[int, int]]] = {}  # who waits for a pair, and n
        self._known: dict[_Pair, Verdict] = {}
        self._done: list[tuple[int, Replies | Failure]] = []

    def submit(self, ticket: int, ask: Ask) -> None:
        pair = ask.prompt.user, ask.prompt.prefix
        verdict = equal(*pair)
        if verdict is not None or pair in self._known:
            settled = self._known[pair] if verdict is None else float(verdict)
            self._done.append((ticket, (Reply(value=settled),) * ask.n))
        elif pair in self._tickets:
            self._tickets[pair].append((ticket, ask.n))
        else:
            self._tickets[pair] = [(ticket, ask.n)]
            self._queue.append(pair)

    def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
        until = time.monotonic() + timeout
        while True:
            self._hand_out()
            now = time.monotonic()
            busy = {worker: worker.due for worker in self._workers if worker.due is not None}
            soon = now if self._done else min([until, *busy.values()])
            connections = [worker.connection for worker in busy]
            heard = wait(connections, max(0.0, soon - now)) if busy else []
            for worker, due in busy.items():
                if worker.connection in heard:
                    self._hear(worker)
                elif time.monotonic() >= due:
                    self._lose(worker)
            if self._done or not busy or time.monotonic() >= until:
                self._hand_out()
                done, self._done = self._done, []
                return done

    def close(self) -> None:
        for worker in self._workers:
            worker.kill()
        self._workers.clear()
        self._queue.clear()
        self._tickets.clear()

    def _hand_out(self) -> None:
        """Give each idle process a pair; start processes while there are more pairs than those."""
        idle = [worker for worker in self._workers if worker.due is None]
        while self._queue and idle:
            worker = idle.pop()
            try:
                worker.judge(self._queue[0], self._deadline)
            except OSError:  # it died while it had nothing to do
                worker.kill()
                self._workers.remove(worker)
            else:
                self._queue.popleft()
        starting = sum(worker.pair is None and worker.due is not None for worker in self._workers)
        while len(self._workers) < self._size and len(self._queue) > starting:
            self._workers.append(_start())
            starting += 1

    def _hear(self, worker: "_Worker") -> None:
        try:
            verdict = json.loads(worker.connection.recv_bytes())
        except (EOFError, OSError):
            self._lose(worker)
            return
        if worker.pair is not None:
            self._settle(worker.pair, verdict)
        worker.pair = worker.due = None

    def _lose(self, worker: "_Worker") -> None:
        """A process is past its time or dead. One that never came up is no verdict but a fault."""
        worker.kill()
        self._workers.remove(worker)
        if worker.pair is not None:
            self._settle(worker.pair, None)
            return
        failure = Failure(f"a judge process did not start (exit code {worker.process.returncode})")
        while self._queue:
            for ticket, _ in self._tickets.pop(self._queue.popleft()):
                self._done.append((ticket, failure))

    def _settle(self, pair: "_Pair", verdict: Verdict) -> None:
        for ticket, n in self._tickets.pop(pair):
            self._done.append((ticket, (Reply(value=verdict),) * n))
        self._known[pair] = verdict
        if len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]


_Pair = tuple[str, str]  # gold, answer


@dataclass(slots=True, eq=False)
class _Worker:
    """A judge process. pair: what it judges. due: when it must have answered; None when idle."""

    process: "subprocess.Popen[bytes]"
    connection: Connection
    due: float | None
    pair: _Pair | None = field(default=None)

    def judge(self, pair: _Pair, deadline: float) -> None:
        self.connection.send_bytes(json.dumps([*pair, deadline]).encode())
        self.pair, self.due = pair, time.monotonic() + deadline

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.connection.close()


def _start() -> _Worker:
    """A fresh interpreter, so that the caller's main module is never imported a second time and
    Ctrl-C in a terminal does not reach it."""
    here, there = socket.socketpair()
    with there:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", f"{_WORK}; work({there.fileno()})"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[there.fileno()],
            process_group=0,
        )
    return _Worker(process, Connection(here.detach()), due=time.monotonic() + _START)


def work(descriptor: int) -> None:
    """The judge process: say that it is ready, then answer pairs until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    memory = _MEMORY if hard == resource.RLIM_INFINITY else min(_MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_AS, (memory, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.disable()
    connection = Connection(descriptor)
    judge(r"\sqrt{4}", "x+1")  # loads sympy and its parser's tables before the clock runs
    connection.send_bytes(b"null")
    while True:
        try:
            gold, answer, deadline = json.loads(connection.recv_bytes())
        except (EOFError, OSError):
            os._exit(0)
        # Should the parent die meanwhile, the kernel ends this process: no handler, no Python.
        signal.setitimer(signal.ITIMER_REAL, 2 * deadline + 1)
        verdict = judge(gold, answer)
        signal.setitimer(signal.ITIMER_REAL, 0)
        connection.send_bytes(json.dumps(verdict).encode())


def judge(gold: str, answer: str) -> Verdict:
    """Whether `answer` says the same as `gold`, by algebra; may take for ever.

    Around math-verify's gaps: tuples are compared member by member, lists in any order, words
    letter by letter (it multiplies the letters), numerals with their base. Units are not compared.
    """
    try:
        return _judge(gold, answer)
    except Exception:  # sympy raises all kinds, RecursionError and MemoryError among them
        return None


def _judge(gold: str, answer: str) -> Verdict:
    settled = equal(gold, answer)
    if settled is not None:
        return float(settled)
    one, other = take_apart(gold), take_apart(answer)
    names = _letters(one.name), _letters(other.name)
    if names[0] != names[1] and (all(names) or "=" in one.body + other.body):
        return _verified(_equation(one), _equation(other))
    if _is_words(one.body, gold) and _is_words(other.body, answer):
        return float(_letters(one.body) == _letters(other.body))
    if (numeral := _BASED.fullmatch(one.body)) and other.body.isdigit():
        return float(numeral[1] == other.body)  # a question that sets the base need not be echoed
    if (numeral := _BASED.fullmatch(other.body)) and one.body.isdigit():
        return float(numeral[1] == one.body and numeral[2] == "10")
    left, right = items(one.body), items(other.body)
    if left and right and len(left.members) == len(right.members):
        if left.ordered and right.ordered:
            return _in_order(left, right)
        if not left.ordered and not right.ordered:
            return _in_any_order(left, right)
    return _verified(one.body, other.body)


def _equation(answer: Parts) -> str:
    return f"{answer.name}={answer.body}" if answer.name else answer.body


_BASED = re.compile(r"(\d+)_\{?(\d+)\}?")


def _letters(text: str) -> str:
    return re.sub(r"[\s{}]", "", text).casefold()


def _is_words(body: str, raw: str) -> bool:
    """Text rather than a product of variables."""
    letters = body.replace(" ", "")
    return letters.isalpha() and (len(letters) > 4 or (len(letters) > 1 and "\\" in raw))


def _in_order(gold: Items, answer: Items) -> Verdict:
    if (gold.left, gold.right) != (answer.left, answer.right):
        return 0.0
    verdicts: list[Verdict] = []
    for mine, theirs in zip(gold.members, answer.members, strict=True):
        verdicts.append(_judge(mine, theirs))
        if verdicts[-1] == 0.0:
            return 0.0
    return None if None in verdicts else 1.0


def _in_any_order(gold: Items, answer: Items) -> Verdict:
    """Each member of the answer is used once, so multiple roots must be named as often."""
    left = list(answer.members)
    for mine in gold.members:
        verdicts = [_judge(mine, theirs) for theirs in left]
        if 1.0 not in verdicts:
            return None if None in verdicts else 0.0
        del left[verdicts.index(1.0)]
    return 1.0


def _verified(gold: str, answer: str) -> Verdict:
    """math-verify's verdict. It is asked both ways round: one way it takes the right-hand side of
    whatever equation is the answer (`2x + z = 1` for 1), the other way only of an assignment.

    Both sides are read as LaTeX alone: its other reader picks the last number out of a text.
    """
    from math_verify import LatexExtractionConfig, parse, verify

    def read(body: str) -> list[object]:
        latex = body.replace("**", "^").replace("%", r"\%")
        reader = [LatexExtractionConfig(boxed_match_priority=-1)]
        found = parse(f"${latex}$", reader, fallback_mode="no_fallback", parsing_timeout=None)
        return [value for value in found if str(value) not in ("zoo", "nan")]

    one, other = read(gold), read(answer)
    if not one or not other:
        return None

    def holds(gold: list[object], answer: list[object]) -> bool:
        return bool(
            verify(
                gold,
                answer,
                allow_set_relation_comp=True,
                timeout_seconds=None,
                raise_on_error=True,
            )
        )

    return float(holds(one, other) and holds(other, one))

"""Judges: math-verify in processes of its own, each killed when an answer takes it too long.

One process loads sympy and forks the judges, so that a new one costs milliseconds. A judge reads
pairs (gold, answer) from a socket and writes verdicts. No alarm runs inside: a power tower holds
the interpreter for ever, so only another process can end it. A verdict that does not come in time,
or whose process dies, is "undecided", never "wrong".
"""

import gc
import json
import logging
import math
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple, NoReturn

from whorl.answer import (
    USUAL,
    Conventions,
    Items,
    Parts,
    Verdict,
    compare,
    in_one_unit,
    items,
    parsable,
    take_apart,
    tell_apart,
)
from whorl.ask import Ask, Failure, Prompt, Replies, Reply
from whorl.errors import UserError

_MEMORY = 2 << 30  # bytes of address space per process; the worst answer seen took 0.6 GB
_BLOATED = 1 << 30  # bytes a process has held at most; one that needed more is replaced
_START = 120.0  # seconds sympy may take to load on a loaded machine
_REMEMBERED = 20_000  # pairs
_NURSE = "from whorl.engines.judge import nurse"


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
        self._nursery: _Nursery | None = None
        self._workers: list[_Worker] = []
        self._queue: deque[_Pair] = deque()
        self._tickets: dict[_Pair, list[tuple[int, int]]] = {}  # who waits for a pair, and n
        self._known: dict[_Pair, Judgement] = {}
        self._done: list[tuple[int, int, Judgement | Failure]] = []

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
                    self._lose(worker, f"took longer than {self._deadline:g} s")
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
            if self._nursery is not None and self._nursery.process.poll() is not None:
                self._nursery.close()
                self._nursery = None
            self._nursery = self._nursery or _Nursery()
            self._workers.append(_Worker(self._nursery.bear()))
            starting += 1
        for worker in idle[: max(0, len(self._workers) - size)]:
            self._end(worker)

    def _hear(self, worker: "_Worker") -> None:
        try:
            said = json.loads(worker.connection.recv_bytes())
        except (EOFError, OSError):
            self._lose(worker, "the judge died of it")
            return
        if worker.pair is None:
            worker.process = said
            worker.connection.send_bytes(json.dumps(asdict(self._rules)).encode())
        else:
            value, reason, seconds, memory = said
            self._settle(worker.pair, Judgement(value, reason, seconds))
            if memory > _BLOATED:
                self._end(worker)
        worker.pair, worker.busy = None, False

    def _lose(self, worker: "_Worker", reason: str) -> None:
        """A process is past its time or dead. One that never came up is no verdict but a fault."""
        self._end(worker)
        if worker.pair is not None:
            seconds = self._deadline + time.monotonic() - worker.due
            self._settle(worker.pair, Judgement(None, reason, seconds))
            return
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


_ORDER = struct.Struct("!ci")  # what to do, and the process to do it to
_BEAR, _END = b"b", b"e"


class _Nursery:
    """The process that loads sympy once, and forks and ends the judges.

    It is a fresh interpreter, so that the caller's main module is never imported a second time and
    Ctrl-C in a terminal does not reach it. It alone may end a judge: the judges are its children,
    so no other process can have got a judge's id meanwhile.
    """

    def __init__(self) -> None:
        self._control, there = socket.socketpair()
        with there:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", f"{_NURSE}; nurse({there.fileno()})"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[there.fileno()],
                process_group=0,
            )

    def bear(self) -> Connection:
        """The near end of a new judge's connection; should it not come up, that end is closed."""
        here, there = socket.socketpair()
        with there:
            self._tell(_BEAR, 0, [there.fileno()])
        return Connection(here.detach())

    def end(self, process: int) -> None:
        self._tell(_END, process, [])

    def close(self) -> None:
        """Ends all judges and waits for that."""
        self._control.close()
        try:
            self.process.wait(timeout=_GRACE)
        except subprocess.TimeoutExpired:  # it is still loading, and has no judges
            self.process.kill()
            self.process.wait()

    def _tell(self, order: bytes, process: int, descriptors: list[int]) -> None:
        try:
            socket.send_fds(self._control, [_ORDER.pack(order, process)], descriptors)
        except OSError:  # it is dead, and its judges with it
            self.process.wait()


_GRACE = 5.0  # seconds


def nurse(descriptor: int) -> None:
    """The nursery's process: fork and end judges as told, until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    memory = _MEMORY if hard == resource.RLIM_INFINITY else min(_MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_AS, (memory, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.disable()
    sys.dont_write_bytecode = True  # judges may not write files
    judge(r"\sqrt{4}", "x+1")  # loads sympy and its parser's tables
    gc.freeze()
    control = socket.socket(fileno=descriptor)
    judges: set[int] = set()
    while order := _next_order(control):
        what, process, descriptors = order
        if what == _END and process in judges:
            _kill(process)
            judges.remove(process)
        for connection in descriptors:
            if child := os.fork():
                judges.add(child)
                os.close(connection)
            else:
                control.close()
                _work(connection)
    for process in judges:
        _kill(process)


def _next_order(control: socket.socket) -> tuple[bytes, int, list[int]] | None:
    try:
        message, descriptors, _, _ = socket.recv_fds(control, _ORDER.size, 1)
        return *_ORDER.unpack(message), descriptors
    except (OSError, struct.error):
        return None


def _kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def _work(descriptor: int) -> NoReturn:
    """A judge's process: say its id, be told the rules, answer pairs until the parent is gone."""
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        connection = Connection(descriptor)
        connection.send_bytes(json.dumps(os.getpid()).encode())
        rules = Conventions(**json.loads(connection.recv_bytes()))
        while True:
            gold, answer, deadline = json.loads(connection.recv_bytes())
            # Should both parents die meanwhile, the kernel ends this process: no handler runs.
            signal.setitimer(signal.ITIMER_REAL, 2 * deadline + 1)
            begun = time.perf_counter()
            right, reason = judge(gold, answer, rules)
            signal.setitimer(signal.ITIMER_REAL, 0)
            value = None if right is None else float(right)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
            said = [value, reason, time.perf_counter() - begun, memory]
            connection.send_bytes(json.dumps(said).encode())
    finally:
        os._exit(0)


def judge(gold: str, answer: str, rules: Conventions = USUAL) -> Verdict:
    """Whether `answer` says the same as `gold`, by algebra; may take for ever.

    Around math-verify's gaps: tuples are compared member by member, lists in any order, words
    letter by letter (it multiplies the letters), numerals with their base.
    """
    try:
        return _judge(gold, answer, rules)
    except Exception as error:  # sympy raises all kinds, RecursionError and MemoryError among them
        return Verdict(None, f"cannot be worked out ({type(error).__name__})")


def _judge(gold: str, answer: str, rules: Conventions) -> Verdict:
    settled = compare(gold, answer, rules)
    if settled.right is not None:
        return settled
    if not (parsable(gold) and parsable(answer)):
        return Verdict(None, "braces do not match")
    one, other = take_apart(gold), take_apart(answer)
    apart = tell_apart(one, other, rules)
    if apart is not None:
        return apart
    one, other = in_one_unit(one, other, rules)
    names = _letters(one.name), _letters(other.name)
    if names[0] != names[1] and (all(names) or "=" in one.body + other.body):
        return _verified(_equation(one), _equation(other), rules)
    if _is_words(one.body, gold) and _is_words(other.body, answer):
        return _said(_letters(one.body) == _letters(other.body), "words")
    if _is_prose(one.body) or _is_prose(other.body):
        return Verdict(None, "prose, not an expression")
    if (numeral := _BASED.fullmatch(one.body)) and other.body.isdigit():
        # A question that sets the base need not be echoed.
        return _said(numeral[1] == other.body, "digits")
    if (numeral := _BASED.fullmatch(other.body)) and one.body.isdigit():
        return _said(numeral[1] == one.body and numeral[2] == "10", "digits and base")
    left, right = items(one.body), items(other.body)
    if left and right and len(left.members) == len(right.members):
        in_order = rules.lists == "ordered" and not left.left and not right.left
        if in_order or (left.ordered and right.ordered):
            return _in_order(left, right, rules)
        if not left.ordered and not right.ordered:
            return _in_any_order(left, right, rules)
    return _verified(one.body, other.body, rules)


def _said(same: bool, what: str) -> Verdict:
    return Verdict(same, f"{'same' if same else 'different'} {what}")


def _equation(answer: Parts) -> str:
    return f"{answer.name}={answer.body}" if answer.name else answer.body


_BASED = re.compile(r"(\d+)_\{?(\d+)\}?")


def _letters(text: str) -> str:
    return re.sub(r"[\s{}]", "", text).casefold()


def _is_words(body: str, raw: str) -> bool:
    """Text rather than a product of variables."""
    letters = body.replace(" ", "")
    return letters.isalpha() and (len(letters) > 4 or (len(letters) > 1 and "\\" in raw))


def _is_prose(body: str) -> bool:
    """Three words in a row: math-verify would multiply their letters."""
    return _PROSE.search(body) is not None


_PROSE = re.compile(r"(?<![a-zA-Z\\])[a-zA-Z]{2,}[ ,]+[a-zA-Z]{2,}[ ,]+[a-zA-Z]{2,}")


def _in_order(gold: Items, answer: Items, rules: Conventions) -> Verdict:
    if (gold.left, gold.right) != (answer.left, answer.right):
        return Verdict(False, "different brackets")
    undecided: Verdict | None = None
    for number, pair in enumerate(zip(gold.members, answer.members, strict=True), start=1):
        verdict = _judge(*pair, rules)
        if verdict.right is False:
            return Verdict(False, f"different at {number}")
        undecided = undecided or (verdict if verdict.right is None else None)
    return undecided or Verdict(True, "same members, by algebra")


def _in_any_order(gold: Items, answer: Items, rules: Conventions) -> Verdict:
    """Each member of the answer is used once, so multiple roots must be named as often."""
    left = list(answer.members)
    for number, mine in enumerate(gold.members, start=1):
        verdicts = [_judge(mine, theirs, rules).right for theirs in left]
        if True not in verdicts:
            return Verdict(None if None in verdicts else False, f"member {number} is not found")
        del left[verdicts.index(True)]
    return Verdict(True, "same members, by algebra")


def _verified(gold: str, answer: str, rules: Conventions) -> Verdict:
    """math-verify's verdict. It is asked both ways round: one way it takes the right-hand side of
    whatever equation is the answer (`2x + z = 1` for 1), the other way only of an assignment.

    Both sides are read as LaTeX alone: its other reader evaluates Python.
    """
    from math_verify import LatexExtractionConfig, parse, verify

    def read(body: str) -> list[object]:
        latex = body.replace("**", "^").replace("%", r"\%")
        reader = [LatexExtractionConfig(boxed_match_priority=-1)]
        found = parse(f"${latex}$", reader, fallback_mode="no_fallback", parsing_timeout=None)
        return [value for value in found if str(value) not in ("zoo", "nan")]

    one, other = read(gold), read(answer)
    if not one or not other:
        return Verdict(None, f"the {'answer' if one else 'gold answer'} cannot be read as LaTeX")

    if "%" not in gold + answer and (apart := _valued(one[0], other[0], rules)):
        return apart

    def holds(gold: list[object], answer: list[object]) -> bool:
        return bool(
            verify(
                gold,
                answer,
                float_rounding=rules.places,
                allow_set_relation_comp=rules.intervals == "sets",
                timeout_seconds=None,
                raise_on_error=True,
            )
        )

    same = holds(one, other) and holds(other, one)
    return Verdict(same, "equal by algebra" if same else "not equal by algebra")


_DIGITS = 50


def _valued(gold: object, answer: object, rules: Conventions) -> Verdict | None:
    """The verdict on two constants by their values, to 40 digits; None if it takes more than that.

    Simplifying a difference of roots or sines can take minutes where its value takes milliseconds.
    """
    from sympy import Expr, I, Integral, Limit, Product, Sum  # type: ignore[import-untyped]

    values = []
    for side in (gold, answer):
        if not isinstance(side, Expr) or not side.is_number:
            return None
        if side.has(Integral, Limit, Product, Sum):
            return None
        value = side.evalf(_DIGITS)
        if not side.has(I) and value.is_real is False:
            value = side.replace(_is_odd_root, _real_root).evalf(_DIGITS)
        values.append(value)
    if not all(value.is_number and value.is_finite for value in values):
        return None
    apart = abs(values[0] - values[1])
    size = max(abs(values[0]), abs(values[1]))
    if size < 10 ** (20 - _DIGITS):
        return None  # nothing, or what rounding left of nothing
    if apart > max(rules.tolerance, 1e-12) * size:
        return Verdict(False, "different values")
    if apart <= size * 10 ** (10 - _DIGITS):
        return Verdict(True, "same value, to 40 digits")
    return None


def _is_odd_root(term: Any) -> bool:
    """A cube root and the like of a negative number: real in schools, complex in sympy."""
    if not term.is_Pow or not term.base.is_negative:
        return False
    power = term.exp.doit()
    return bool(power.is_Rational and power.q > 1 and power.q % 2 == 1)


def _real_root(term: Any) -> Any:
    power = term.exp.doit()
    return (-1) ** power.p * (-term.base) ** power

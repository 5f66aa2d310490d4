"""Attempts at problems, with a wall between the model and the gold answers.

`solve_question` is given a question and nothing else. The answer joins in `judge_texts`, which is
given texts that are final and asks no model, only the judge.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from whorl import prompts
from whorl.answer import extract, read, settled
from whorl.answer.checks import ANSWER
from whorl.ask import Ask, Asking, Engine, Replies
from whorl.drive import Finished, drive
from whorl.evaluate.setup import Setup
from whorl.problem import Problem
from whorl.rollout import verdicts


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a problem.

    answer: what was taken for the final answer; None if there is none.
    right: 1.0, 0.0, or None where the judge could not decide; reason: why.
    finished, tokens: as in `Reply`.
    """

    text: str
    answer: str | None
    right: float | None
    reason: str
    finished: Literal["stop", "eos", "length"] = "eos"
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """A problem with the attempts at it.

    error: why the problem could not be attempted; then there are no attempts.
    """

    problem: Problem
    attempts: tuple[Attempt, ...]
    error: str = ""


Attempting = tuple[str, Callable[[], Asking[tuple[Attempt, ...]]]]
"""A search that attempts a problem: its key, and what begins it."""


def attempt_problems(
    problems: Iterable[Problem],
    engines: Mapping[str, Engine],
    *,
    setup: Setup,
    width: int = 256,
    seed: int = 0,
) -> Iterator[Record]:
    """Attempt every problem; yields records as problems end, in any order.

    `engines` answer the roles `policy` and `judge`. A problem whose ask fails has `Record.error`.
    """

    def run(searches: Iterable[Attempting]) -> Iterator[Finished[tuple[Attempt, ...]]]:
        begun = ((key, begin()) for key, begin in searches)
        return drive(begun, engines, width=width, seed=seed)

    return attempted(problems, setup, run)


def attempted(
    problems: Iterable[Problem],
    setup: Setup,
    run: Callable[[Iterable[Attempting]], Iterator[Finished[tuple[Attempt, ...]]]],
) -> Iterator[Record]:
    """As `attempt_problems`. run: runs searches, and yields each as it ends."""
    waiting: dict[str, Problem] = {}

    def searches() -> Iterator[Attempting]:
        for problem in problems:
            key = f"{problem.id}#evaluate"
            waiting[key] = problem
            yield key, partial(_examined, problem, setup)

    for finished in run(searches()):
        problem = waiting.pop(finished.key)
        yield Record(problem, finished.result or (), error=finished.error or "")


def _examined(problem: Problem, setup: Setup) -> Asking[tuple[Attempt, ...]]:
    texts = yield from solve_question(problem.question, setup)
    return (yield from judge_texts(problem.answer, texts, setup, problem.check))


def solve_question(question: str, setup: Setup) -> Asking[Replies]:
    """A search of a question: `setup.decoding.n` attempts at it."""
    template, decoding = prompts.TEMPLATES[setup.template], setup.decoding
    (replies,) = yield [
        Ask(
            setup.ask(question),
            n=decoding.n,
            stop=template.stop,
            max_tokens=decoding.max_tokens,
            temperature=decoding.temperature,
            top_p=decoding.top_p,
            thought=decoding.thought_tokens,
        )
    ]
    return replies


def judge_texts(
    gold: str, replies: Replies, setup: Setup, check: str = ANSWER
) -> Asking[tuple[Attempt, ...]]:
    """A search that judges final texts by a problem's check."""
    texts = [settled(reply.text) for reply in replies]
    answers = [read(text, guess=True) if setup.guess else extract(text) for text in texts]
    found = yield from verdicts(gold, answers, check)
    return tuple(
        Attempt(
            reply.text,
            answer,
            None if verdict.right is None else float(verdict.right),
            verdict.reason,
            reply.finished,
            reply.tokens,
        )
        for reply, answer, verdict in zip(replies, answers, found, strict=True)
    )

"""Stories: problems with worked solutions, kept as equations, so that they can be worked with a
slip."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from operator import add, mul, sub
from typing import NamedTuple

from whorl.problem import Problem


class Past(NamedTuple):
    """An operand that is the result of an earlier step of the same solution."""

    step: int


Operand = int | Past


def divide(a: int, b: int) -> int:
    """Division rounded down; by zero it gives 0. Only slips need either."""
    return a // b if b else 0


OPERATORS = {"+": add, "-": sub, "*": mul, "/": divide}


@dataclass(frozen=True, slots=True)
class Step:
    """One line of working: `pre`, then `a op b = result`, then `post`.

    pre, post: format strings; `{0}` stands for the result of step 0. A step may name its own
        result and earlier ones.
    op: one of `+ - * /`.
    """

    pre: str
    a: Operand
    op: str
    b: Operand
    post: str


@dataclass(frozen=True)
class Story:
    """A problem and its solution. Its level is 1 for two steps, 2 for three and so on."""

    family: str
    question: str
    steps: tuple[Step, ...]

    @cached_property
    def results(self) -> tuple[int, ...]:
        """The right result of every step."""
        return self.work({})

    @property
    def answer(self) -> int:
        return self.results[-1]

    @property
    def level(self) -> int:
        return len(self.steps) - 1

    @property
    def solution(self) -> tuple[str, ...]:
        """The right solution: every step's text, then the final answer."""
        return self.written(self.results)

    def work(self, slips: Mapping[int, int]) -> tuple[int, ...]:
        """Results of every step if step `i` came out as `slips[i]`; later steps build on that."""
        results: list[int] = []
        for index, step in enumerate(self.steps):
            right = OPERATORS[step.op](value(step.a, results), value(step.b, results))
            results.append(slips.get(index, right))
        return tuple(results)

    def written(self, results: tuple[int, ...]) -> tuple[str, ...]:
        """Text of every step with these results, then the final answer they lead to."""
        lines = (written_step(step, results, index) for index, step in enumerate(self.steps))
        return (*lines, final(results[-1]))

    @cached_property
    def digest(self) -> str:
        """sha256, in hex, of the arithmetic of the problem: without names, things and wording."""
        arithmetic = ";".join(
            f"{_canonical(step.a)}{step.op}{_canonical(step.b)}" for step in self.steps
        )
        return hashlib.sha256(f"{self.family}:{arithmetic}".encode()).hexdigest()

    def problem(self, split: str) -> Problem:
        """The problem alone; its id derives from `digest`."""
        return Problem(
            id=f"{self.family}-{self.digest[:12]}",
            question=self.question,
            answer=str(self.answer),
            source="synthetic",
            split=split,
            level=str(self.level),
            subject=self.family,
        )


def value(operand: Operand, results: tuple[int, ...] | list[int]) -> int:
    """Value of an operand, given the results so far."""
    return results[operand.step] if isinstance(operand, Past) else operand


def equation_text(step: Step, results: tuple[int, ...], index: int) -> str:
    """The step's equation, e.g. `12+5=17`."""
    return f"{value(step.a, results)}{step.op}{value(step.b, results)}={results[index]}"


def written_step(step: Step, results: tuple[int, ...], index: int) -> str:
    """The step's text, given the results up to its own."""
    return (
        step.pre.format(*results) + equation_text(step, results, index) + step.post.format(*results)
    )


def final(answer: int | str) -> str:
    """The last step of every solution."""
    return f"The answer is \\boxed{{{answer}}}."


def _canonical(operand: Operand) -> str:
    return f"r{operand.step}" if isinstance(operand, Past) else str(operand)

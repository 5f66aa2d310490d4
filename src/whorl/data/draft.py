"""A story while it is written, and the numbers it may use."""

from random import Random

from whorl.data.story import OPERATORS, Operand, Past, Step, Story, value

# by level
LARGEST_OPERAND = {1: 10, 2: 12, 3: 15, 4: 20, 5: 25}
LARGEST_RESULT = {1: 40, 2: 60, 3: 80, 4: 99, 5: 99}


class Unfit(Exception):
    """Raised if the numbers drawn make no problem: a result out of range, or an inexact
    division."""


class Draft:
    """A story while it is written: its steps so far, and the numbers it may use."""

    def __init__(self, rng: Random, level: int) -> None:
        self.rng = rng
        self.length = level + 1
        self.largest_operand = LARGEST_OPERAND[level]
        self.largest_result = LARGEST_RESULT[level]
        self.steps: list[Step] = []
        self.results: list[int] = []

    @property
    def left(self) -> int:
        """Number of steps still to be written."""
        return self.length - len(self.steps)

    def number(self, low: int = 2) -> int:
        """An operand for a sum or a difference."""
        return self.rng.randint(low, self.largest_operand)

    def factor(self) -> int:
        """An operand for a product or a quotient."""
        return self.rng.randint(2, min(9, self.largest_operand))

    def write(self, pre: str, a: Operand, op: str, b: Operand, post: str) -> Past:
        """Add a step; returns its result as an operand. Raises `Unfit`."""
        left, right = value(a, self.results), value(b, self.results)
        if op == "/" and left % right:
            raise Unfit
        result = OPERATORS[op](left, right)
        if not 1 <= result <= self.largest_result:
            raise Unfit
        self.steps.append(Step(pre, a, op, b, post))
        self.results.append(result)
        return Past(len(self.results) - 1)

    def story(self, family: str, sentences: list[str]) -> Story:
        assert self.left == 0
        return Story(family, " ".join(sentences), tuple(self.steps))

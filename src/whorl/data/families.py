"""Families of made-up problems, and drawing a problem from one."""

from collections.abc import Callable
from random import Random

from whorl.data.draft import LARGEST_OPERAND, Draft, Unfit
from whorl.data.story import Story
from whorl.data.symbols import equation, expression
from whorl.data.words import comparison, inventory, rates, shopping

LEVELS = tuple(LARGEST_OPERAND)

_FAMILIES: tuple[Callable[[Draft], Story], ...] = (
    inventory,
    comparison,
    shopping,
    rates,
    expression,
    equation,
)


def draw(rng: Random, level: int) -> Story:
    """A story of this level, from any family. A solution has `level + 1` equations."""
    family = rng.choice(_FAMILIES)
    while True:
        try:
            return family(Draft(rng, level))
        except Unfit:
            continue

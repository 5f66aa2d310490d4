"""What counts as the same answer, and what is said about a pair."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, NamedTuple

LONGEST = 2_000
"""An answer of more characters than this is no final answer; it equals only itself."""


@dataclass(frozen=True, slots=True)
class Conventions:
    """What counts as the same answer where graders differ; rewards are given by the defaults.

    percent: what `50%` is. `number`: 50, the question asks for percent; `fraction`: 1/2; `either`.
        A number without the sign is never compared with a hundred times itself.
    units: `optional`: a side may leave its unit out; `required`: both name one or neither does;
        `ignored`. Unless ignored, two known units are converted: 2 feet is 24 inches, not 2 inches.
    lists: whether `1, 2` is `2, 1`. Tuples and intervals are always ordered, sets in braces never.
    intervals: whether a relation may stand for its `sets`: x <= 2 for (-oo, 2], or must be
        `written` as one.
    assignments: whether `x = 5` may stand for 5 (`optional`), or both sides name it (`required`).
    choices: whether `(C) 12` and `c` are the choice C (`labelled`), or only `C` and `(C)` (`bare`).
    vectors: whether a row or column may stand for a tuple (`tuples`) or must be `written` as one.
    decimals: what separates the decimals of a number: a `point`, or a `comma` as in 3,14.
    tolerance: relative error allowed to a decimal of as many places as the tolerance has; 0 allows
        none. Up to 1e-6 it allows rounding alone: a decimal that stands for what no decimal can
        write agrees to its last place, and two that can be written differ by a float's noise.
    """

    percent: Literal["either", "number", "fraction"] = "either"
    units: Literal["optional", "required", "ignored"] = "optional"
    lists: Literal["unordered", "ordered"] = "unordered"
    intervals: Literal["sets", "written"] = "sets"
    assignments: Literal["optional", "required"] = "optional"
    choices: Literal["labelled", "bare"] = "labelled"
    vectors: Literal["written", "tuples"] = "written"
    decimals: Literal["point", "comma"] = "point"
    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance < 1:
            raise ValueError("tolerance must be at least 0 and below 1")

    @property
    def rounds_only(self) -> bool:
        """Whether the tolerance is one for rounded values, and not for inexact ones."""
        return self.tolerance <= 1e-6

    @property
    def places(self) -> int:
        """Decimal places that the tolerance has: 6 for 1e-6."""
        return max(1, round(-math.log10(self.tolerance))) if self.tolerance else 15


FLOAT_NOISE = Fraction(1, 10**12)
"""Relative error that computing with floats leaves: 17.999999999999996 is 18."""
FLOAT_DIGITS = 15
FLOAT_PLACES = 10
"""Digits in all and decimals that show it: 1000000000000.5 is exact."""

USUAL = Conventions()


class Verdict(NamedTuple):
    """right: None is undecided. reason: what settled it, or what was in the way, in a few words."""

    right: bool | None
    reason: str

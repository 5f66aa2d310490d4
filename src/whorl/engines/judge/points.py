"""Points at which functions are compared: random ones, and those where formulas by cases change."""

import random
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice

from whorl.engines.judge.terms import Apply, Term, heads
from whorl.engines.judge.values import Point, exact

ROUNDED = frozenset(("floor", "ceil"))
_BY_CASES = ROUNDED | {"abs", "max", "min", "sgn", "sqrt", "root", "binom", "!", "gcd", "lcm"}
_MOST_EDGES = 40
_MOST_ADDED = 100
_MOST_BITS = 40  # of a coordinate
_MOST_WHOLE = 20_000  # of which binomials and the like are worked out


_SIZES = (0.3, 0.8, 2.0, 0.6, 7.0, 31.0, 0.4, 1.5, 0.9, 5.0, 17.0, 0.2, 2.5, 110.0)
_SIGNED_FROM = 6  # the points before have positive coordinates


def points(names: list[str], whole: frozenset[str]) -> Iterator[Point]:
    """Random points, the same ones for the same names: first positive, then of all signs.

    whole: variables that are integers.
    """
    dice = random.Random(" ".join(names))
    for n, size in enumerate(_SIZES):
        point = {}
        for name in names:
            below = dice.randrange(50, 90)
            value = Fraction(1 + int(size * below * dice.uniform(0.5, 1.2)), below)
            if name in whole:
                value = Fraction(dice.randrange(1, 6 + n))
            elif n >= _SIGNED_FROM and (n % 2 == 0 or dice.random() < 0.5):
                value = -value
            point[name] = value
        yield point


def is_by_cases(term: Term) -> bool:
    """Whether a function may be something else far away: `|x + 200|` is `x + 200` near 0."""
    match term:
        case Apply("^", (base, power)):
            degree = exact(power)
            fractional = degree is not None and degree.denominator > 1
            return fractional or is_by_cases(base) or is_by_cases(power)
        case Apply(head, parts):
            return head in _BY_CASES or any(map(is_by_cases, parts))
    return False


def edges(names: list[str], whole: frozenset[str], terms: tuple[Term, ...]) -> Iterator[Point]:
    """Points beside and beyond all numbers in the terms, far away, and at integers.

    One variable has such a value at a time while the others stay small, then all have it.
    """
    most_whole = (
        _MOST_ADDED if any(heads(term) & {"sum", "prod"} for term in terms) else _MOST_WHOLE
    )
    values = [Fraction(n) for n in range(17)]
    for found in islice(dict.fromkeys(n for term in terms for n in _numbers(term)), _MOST_EDGES):
        sizes = (found, 2 * found, found / 2, found**2, found**3, found * 10)
        values += [found + step for step in (0, 1, -1, Fraction(1, 3))]
        values += [size + Fraction(step, 3) for size in sizes[1:] for step in (0, 1)]
    values += [Fraction(10**n) for n in range(2, 9)]
    values += [Fraction(2**n + step) for n in range(5, 12) for step in (0, 1)]
    for value in dict.fromkeys(filter(_is_short, values)):
        for signed in {value, -value}:
            for chosen in [*names, None] if len(names) > 1 else [None]:
                point = {
                    name: signed if chosen in (name, None) else Fraction(2 + n)
                    for n, name in enumerate(names)
                }
                if all(_counts(point[name], most_whole) for name in whole & point.keys()):
                    yield point


def _counts(value: Fraction, most: int) -> bool:
    return value.denominator == 1 and 0 <= value <= most


def _is_short(value: Fraction) -> bool:
    return max(value.numerator.bit_length(), value.denominator.bit_length()) <= _MOST_BITS


def _numbers(term: Term) -> Iterator[Fraction]:
    """The rational numbers in a term, and quotients of those in one sum or product."""
    value = exact(term)
    if value is not None:
        if _is_short(value):
            yield abs(value)
    elif isinstance(term, Apply):
        inner = [number for part in term.parts for number in _numbers(part)]
        yield from inner
        few = [number for number in dict.fromkeys(inner) if number > 1][:4]
        yield from (one / other for one in few for other in few if one > other)

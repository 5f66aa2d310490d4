"""Two answers with names and units: what these settle before the values are compared."""

import re
from fractions import Fraction

from whorl.answer.conventions import Conventions, Verdict
from whorl.answer.dimensions import Measure, measure, measured_in
from whorl.answer.numbers import number
from whorl.answer.plain import Parts


def tell_apart(one: Parts, other: Parts, rules: Conventions) -> Verdict | None:
    """What names and units settle before the values are compared; None if nothing."""
    if rules.assignments == "required" and bool(one.name) != bool(other.name):
        return Verdict(False, "one side names a variable")
    if rules.units == "required" and bool(one.unit) != bool(other.unit):
        return Verdict(False, "one side names a unit")
    if rules.units != "ignored":
        left, right = measure(one.unit), measure(other.unit)
        if left and right and not _may_agree(left, right):
            exact = {left.dimension, right.dimension} != _TIMES
            return Verdict(False if exact else None, f"{left} is not {right}")
        if one.unit and other.unit and not (left and right) and not _alike(one.unit, other.unit):
            return Verdict(None, f"{one.unit} beside {other.unit}")
        for share, rest, known in ((one, other, right), (other, one, left)):
            if share.body.endswith("%") and not share.unit and rest.unit:
                return Verdict(False if known else None, f"percent beside {rest.unit}")
        if rules.units == "required" and not (left and right) and one.unit != other.unit:
            return Verdict(None, "units not known")
    return None


_TIMES = {(("calendar time", 1),), (("time", 1),)}  # a month has no certain length


def _may_agree(left: Measure, right: Measure) -> bool:
    """Whether both measure the same, as far as is said: 5 units may be any length."""
    if left.dimension == right.dimension:
        return True
    if len(left.dimension) != 1 or len(right.dimension) != 1:  # metres per metre have none
        return False
    (one, power), (other, rest) = left.dimension[0], right.dimension[0]
    return power == rest and "unit" in (one, other)


def _alike(one: str, other: str) -> bool:
    """Whether units of which one is not known may be the same: the known words in them are, or
    both are degrees, of whatever."""
    if measured_in(one) == measured_in(other):
        return True
    one, other = one.casefold(), other.casefold()
    return "deg" in one and "deg" in other and ("degree" in one or "degree" in other)


def both_measured(one: Parts, other: Parts) -> tuple[Parts, Parts]:
    """Both answers, where one has a known unit the other with its own, if that is one letter."""
    for left, right in ((one, other), (other, one)):
        if measure(left.unit) and not right.unit and (found := _split_lone(right.body)):
            split = right._replace(body=found[0], unit=found[1])
            return (left, split) if left is one else (split, left)
    return one, other


def in_one_unit(one: Parts, other: Parts, rules: Conventions) -> tuple[Parts, Parts]:
    """Both sides in the second one's unit, where each has one that is known."""
    left, right = measure(one.unit), measure(other.unit)
    if rules.units == "ignored" or not left or not right or left.size == right.size:
        return one, other
    if left.dimension != right.dimension:  # units at large
        return one, other
    factor, value = left.size / right.size, number(one.body)
    body = str(value * factor) if value is not None else f"{_latex(factor)}({one.body})"
    return Parts(one.name, body, other.unit), other


def _latex(value: Fraction) -> str:
    return f"\\frac{{{value.numerator}}}{{{value.denominator}}}"


_LONE = re.compile(r"([-+]?[\d.,]*\d)([mgshlLJNVW])")


def _split_lone(body: str) -> tuple[str, str] | None:
    """`2000m` as a number and a unit of one letter, which beside another unit is no variable."""
    found = _LONE.fullmatch(body)
    return (found[1], found[2]) if found else None

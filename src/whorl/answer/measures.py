"""Two answers with names and units: what these settle before the values are compared."""

from fractions import Fraction

from whorl.answer.conventions import Conventions, Verdict
from whorl.answer.numbers import number
from whorl.answer.plain import Parts
from whorl.answer.units import may_be, measure, split_lone


def tell_apart(one: Parts, other: Parts, rules: Conventions) -> Verdict | None:
    """What names and units settle before the values are compared; None if nothing."""
    if rules.assignments == "required" and bool(one.name) != bool(other.name):
        return Verdict(False, "one side names a variable")
    if rules.units == "required" and bool(one.unit) != bool(other.unit):
        return Verdict(False, "one side names a unit")
    if rules.units != "ignored":
        left, right = measure(one.unit), measure(other.unit)
        if left and right and left.dimension != right.dimension:
            return Verdict(False, f"{left} is not {right}")
        for known, unknown in ((left, other.unit), (right, one.unit)):
            if known and unknown and not measure(unknown) and not may_be(known, unknown):
                return Verdict(None, f"{unknown} beside a unit of {known}")
        if rules.units == "required" and not (left and right) and one.unit != other.unit:
            return Verdict(None, "units not known")
    return None


def both_measured(one: Parts, other: Parts) -> tuple[Parts, Parts]:
    """Both answers, where one has a known unit the other with its own, if that is one letter."""
    for left, right in ((one, other), (other, one)):
        if measure(left.unit) and not right.unit and (found := split_lone(right.body)):
            split = right._replace(body=found[0], unit=found[1])
            return (left, split) if left is one else (split, left)
    return one, other


def in_one_unit(one: Parts, other: Parts, rules: Conventions) -> tuple[Parts, Parts]:
    """Both sides in the second one's unit, where each has one that is known."""
    left, right = measure(one.unit), measure(other.unit)
    if rules.units == "ignored" or not left or not right or left.size == right.size:
        return one, other
    factor, value = left.size / right.size, number(one.body)
    body = str(value * factor) if value is not None else f"{_latex(factor)}({one.body})"
    return Parts(one.name, body, other.unit), other


def _latex(value: Fraction) -> str:
    return f"\\frac{{{value.numerator}}}{{{value.denominator}}}"

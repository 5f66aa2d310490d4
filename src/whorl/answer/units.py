"""Units of measurement: what they measure, and how large they are."""

import re
from fractions import Fraction

from whorl.answer.conventions import Conventions, Verdict
from whorl.answer.numbers import number
from whorl.answer.plain import Parts


def tell_apart(one: Parts, other: Parts, rules: Conventions) -> Verdict | None:
    """What names and units settle before the values are compared; None if nothing."""
    if rules.assignments == "required" and bool(one.name) != bool(other.name):
        return Verdict(False, "one side names a variable")
    if rules.units == "required" and bool(one.unit) != bool(other.unit):
        return Verdict(False, "one side names a unit")
    if rules.units != "ignored":
        left, right = _measure(one.unit), _measure(other.unit)
        if left and right and left[0] != right[0]:
            return Verdict(False, f"{left[0]} is not {right[0]}")
        if rules.units == "required" and not (left and right) and one.unit != other.unit:
            return Verdict(None, "units not known")
    return None


def in_one_unit(one: Parts, other: Parts, rules: Conventions) -> tuple[Parts, Parts]:
    """Both sides in the second one's unit, where each has one that is known."""
    left, right = _measure(one.unit), _measure(other.unit)
    if rules.units == "ignored" or not left or not right or left[1] == right[1]:
        return one, other
    factor, value = left[1] / right[1], number(one.body)
    body = str(value * factor) if value is not None else f"{_latex(factor)}({one.body})"
    return Parts(one.name, body, other.unit), other


def _latex(value: Fraction) -> str:
    return f"\\frac{{{value.numerator}}}{{{value.denominator}}}"


_UNITS = {
    "length": "m meter metre=1 mm millimeter millimetre=1/1000 cm centimeter centimetre=1/100 "
    "km kilometer kilometre=1000 in inch inches=0.0254 ft foot feet=0.3048 yd yard=0.9144 "
    "mi mile=1609.344",
    "mass": "g gram=1 mg milligram=1/1000 kg kilogram kilo=1000 oz ounce=28.349523125 "
    "lb pound=453.59237",
    "time": "s sec second=1 min minute=60 h hr hour=3600 day=86400 week=604800",
    "volume": "l liter litre=1 ml milliliter millilitre=1/1000",
    "money": "$ dollar=1 cent=1/100",
}
_MEASURES = {
    name: (dimension, Fraction(factor))
    for dimension, units in _UNITS.items()
    for names, factor in re.findall(r"([^=]+)=(\S+)\s*", units)
    for name in names.split()
}
_MARKUP = re.compile(r"\\(?:text(?:rm)?|mbox|mathrm)|[{}.]")
_POWER = re.compile(r"(?:\^\s*)?([23²³])\s*$")
_POWER_WORDS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}


def _measure(unit: str) -> tuple[str, Fraction] | None:
    """The dimension of a unit and its size in that dimension's first unit; None if not known."""
    if not unit:
        return None
    text, power = _MARKUP.sub(" ", unit.casefold()), 1
    if written := _POWER.search(text):
        text, power = text[: written.start()], 2 if written[1] in "2²" else 3
    first, _, rest = text.strip().partition(" ")
    if first in _POWER_WORDS:
        text, power = rest, _POWER_WORDS[first]
    name = text.strip()
    found = _MEASURES.get(name) or _MEASURES.get(name.removesuffix("s"))
    if found is None:
        return None
    dimension, size = found
    return dimension if power == 1 else f"{dimension}^{power}", size**power

"""Measures in two units: `5 feet 6 inches` is 5.5 feet, `5 dollars and 25 cents` 5.25 dollars."""

import re
from fractions import Fraction

from whorl.answer.conventions import Conventions, Verdict
from whorl.answer.dimensions import Measure, measure, named
from whorl.answer.numbers import number
from whorl.answer.plain import TEXT_MACRO, take_apart
from whorl.answer.spelling import spelled

_FIRST = re.compile(
    r"\d[\s\\~a-zA-Z{]{1,14}?(?:year|yr|week|day|h(?:ou)?r|min|dollar|yard|yd|f[eo]*t|pound|lb|gallon|gal|quart)"
    r"[^\d]{1,40}\d"
)
_COMPOUND = re.compile(
    r"(\d{1,12}) ?([a-zA-Z]{2,8})\.?(?:,? and|,)? (\d{1,12}(?:\.\d{1,12})?) ?([a-zA-Z]{2,8})"
)


def in_two_units(one: str, other: str, rules: Conventions) -> Verdict | None:
    """The verdict where a side is a measure in two units; None where neither is, or units are no
    matter. A side that names no unit may mean the first, and no other number is ruled out by it."""
    if rules.units != "optional" or not (_FIRST.search(one) or _FIRST.search(other)):
        return None
    left, right = _read(one), _read(other)
    if left is None and right is None:
        return None
    if left is None or right is None:
        compound, beside = (right, one) if left is None else (left, other)
        assert compound is not None
        return _beside(compound, beside)
    return _said(left, right)


def _read(answer: str) -> tuple[Fraction, Measure] | None:
    """What a measure in two units comes to in the first, which has more than one of the second
    and is no tenfold of it, as `5 m and 30 cm` may be two lengths; money is the exception."""
    text = " ".join(TEXT_MACRO.sub(r" \1 ", spelled(answer)).split())
    found = _COMPOUND.fullmatch(text)
    first, second = (named(found[2]), named(found[4])) if found else (None, None)
    if not found or not first or not second or first.dimension != second.dimension:
        return None
    times, rest = first.size / second.size, Fraction(found[3])
    tenfold = times % 10 == 0 and times not in (60, 3600) and "money" not in str(first)
    if times <= 1 or tenfold or rest >= times:
        return None
    return int(found[1]) + rest / times, first


def _beside(compound: tuple[Fraction, Measure], answer: str) -> Verdict:
    plain = take_apart(answer)
    value, unit = number(plain.body), measure(plain.unit)
    if value is not None and unit:
        return _said(compound, (value, unit))
    if value == compound[0] and not plain.unit:
        return Verdict(True, "same measure")
    return Verdict(None, "a measure in two units")


def _said(left: tuple[Fraction, Measure], right: tuple[Fraction, Measure]) -> Verdict:
    if left[1].dimension != right[1].dimension:
        return Verdict(None, f"{left[1]} beside {right[1]}")
    same = left[0] * left[1].size == right[0] * right[1].size
    return Verdict(same, "same measure" if same else "different measures")

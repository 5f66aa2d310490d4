"""Plain numbers, exactly."""

import re
from fractions import Fraction

_SIGNED = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)"
DECIMAL = re.compile(rf"({_SIGNED})(?:[eE]([+-]?\d{{1,3}}))?")
_SCIENTIFIC = re.compile(
    rf"(?:({_SIGNED})(?:\\times|\\cdot|\*))?10\^(?:(\d)|\{{([+-]?\d{{1,3}})\}}|([+-]?\d{{1,3}}))"
)
_RATIO = re.compile(rf"({_SIGNED})/({_SIGNED})|([+-]?)\\frac\{{({_SIGNED})\}}\{{({_SIGNED})\}}")
_MIXED = re.compile(r"([+-]?)(\d+)(?: (\d+)/(\d+)|\\frac\{(\d+)\}\{(\d+)\})")
_REPEATING = re.compile(r"([+-]?)(\d*)\.(\d*)\\overline(?:\{(\d+)\}|(\d))")
_GOING_ON = re.compile(r"([+-]?\d{0,40}\.\d{0,12}?)(\d{1,12}?)\2{1,40}")
_WRAPPED = re.compile(r"([+-]?)(?:\((.*)\)|\{(.*)\})")


def number(text: str) -> Fraction | None:
    """The exact value of a plain number, ratio, mixed number, repeating decimal or power of ten;
    else None."""
    wrapped = _WRAPPED.fullmatch(text)
    if wrapped:
        inner = wrapped[2] if wrapped[2] is not None else wrapped[3]
        if not inner or inner[0] in "({":  # one pair of brackets is enough for a number
            return None
        value = number(inner)
        return -value if value is not None and wrapped[1] == "-" else value
    if match := DECIMAL.fullmatch(text):
        return Fraction(match[1]) * Fraction(10) ** int(match[2] or 0)
    if match := _SCIENTIFIC.fullmatch(text):
        return Fraction(match[1] or 1) * Fraction(10) ** int(match[2] or match[3] or match[4])
    if match := _RATIO.fullmatch(text):
        above, below = Fraction(match[1] or match[4]), Fraction(match[2] or match[5])
        return (-above if match[3] == "-" else above) / below if below else None
    if match := _MIXED.fullmatch(text):
        above, below = Fraction(match[3] or match[5]), Fraction(match[4] or match[6])
        if 0 < above < below:  # 2 3/2 is as likely a product
            value = int(match[2]) + above / below
            return -value if match[1] == "-" else value
    if match := _REPEATING.fullmatch(text):  # 0.1\overline{6} is (16 - 1) / 90
        first, again = match[3], match[4] or match[5]
        once, twice = int(match[2] + first or 0), int(match[2] + first + again)
        value = Fraction(twice - once, 10 ** len(first) * (10 ** len(again) - 1))
        return -value if match[1] == "-" else value
    return None


def going_on(decimal: str) -> Fraction | None:
    """The exact value of a decimal whose last digits go on as they repeat: 1/6 of `0.1666`."""
    found = _GOING_ON.fullmatch(decimal)
    return number(f"{found[1]}\\overline{{{found[2]}}}") if found else None

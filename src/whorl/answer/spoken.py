"""Numbers as they are spoken: `twenty-one`, `2 and a half`, `7th`."""

import re
from fractions import Fraction

from whorl.answer.dimensions import measure
from whorl.answer.fonts import OPENED
from whorl.answer.magnitudes import written_out
from whorl.answer.units import without_unit

_UNITS = "one|two|three|four|five|six|seven|eight|nine"
_TEENS = "ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen"
_TENS = "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
NUMBER_WORDS = f"zero|{_UNITS}|{_TEENS}|{_TENS}"
"""Words for numbers below a hundred, each of one word."""
_VALUES = {
    **{word: number for number, word in enumerate(f"zero|{_UNITS}|{_TEENS}".split("|"))},
    **{word: 10 * number for number, word in enumerate(_TENS.split("|"), start=2)},
    "hundred": 100,
}
_GAP = "(?:-| | and )"
_BELOW_100 = rf"(?:(?:{_TENS})(?:[- ](?:{_UNITS}))?|{_TEENS}|{_UNITS})"
_BELOW_1000 = rf"(?:(?:{_UNITS}) hundred(?:{_GAP}{_BELOW_100})?|{_BELOW_100})"
_NUMBER = rf"zero|{_BELOW_1000} thousand(?:{_GAP}{_BELOW_1000})?|{_BELOW_1000}"
_BEGINS = re.compile(rf"({OPENED})?({_NUMBER})(?![a-zA-Z-])\s?", re.IGNORECASE)
_AND_A_HALF = re.compile(
    rf"(?<![\w.,/^)}}])(\d{{1,9}}) ?({OPENED})?and (?:a|one)[ -](half|third|quarter)(?![a-zA-Z])"
    r"((?(2)\s?\})?)"
)
_PARTS = {"half": "1/2", "third": "1/3", "quarter": "1/4"}
_ORDINAL = re.compile(r"(\d{1,15})(st|nd|rd|th)")


def in_figures(text: str) -> str:
    """A text that is a number in words, with a known unit or without, and `2 and a half` in
    figures; what says more, `one third` or `two lines`, stays as it is."""
    if text[:1].isalpha() or text[:5] == r"\text":
        text = _counted(text)
    return _AND_A_HALF.sub(_mixed, text) if " a" in text or "and" in text else text


def _counted(text: str) -> str:
    found = _BEGINS.match(text)
    if found is None:
        return text
    rest = text[found.end() :]
    if found[1]:
        rest = rest[1:] if rest.startswith("}") else f"{found[1]}{rest}"
    figures = written_out(f"{_value(found[2])} {rest.strip()}").strip()
    mixed = _AND_A_HALF.sub(_mixed, figures)
    value, unit = without_unit(mixed)
    alone = mixed.isdigit() or mixed != figures or (value != mixed and measure(unit))
    return figures if alone else text


def _value(words: str) -> int:
    total = last = 0
    for word in re.split(r"[- ]", words.casefold()):
        number = _VALUES.get(word, 0)  # "and" counts nothing
        if word == "thousand":
            total, last = 1000 * (total + last), 0
        elif word == "hundred":
            last *= number
        else:
            last += number
    return total + last


def _mixed(found: re.Match[str]) -> str:
    left_open = found[2] if found[2] and not found[4] else ""
    return f"{found[1]} {_PARTS[found[3]]}{left_open}"


def ordinal(body: str) -> Fraction | None:
    """The number of a plain `7th`; None for `3th`, which is none, and `2^{nd}`, which may be a
    power."""
    found = _ORDINAL.fullmatch(body)
    if found is None:
        return None
    number = int(found[1])
    ending = "th" if number % 100 in (11, 12, 13) else _ENDINGS.get(number % 10, "th")
    return Fraction(number) if found[2] == ending else None


_ENDINGS = {1: "st", 2: "nd", 3: "rd"}

"""Times of day: one form for what is written in many, and when two are the same."""

import re
from functools import partial

from whorl.answer.conventions import Verdict
from whorl.answer.fonts import OPENED

_HALF = r"(?P<half>[ap])(?:\.?m(?![a-zA-Z])|\.\s?m(?![a-zA-Z]))\.?"
_PART = r"(?:o'clock\s)?(?:in the (?P<part>morning|afternoon|evening)|(?P<night>at night))\b"
_CLOCK = re.compile(
    r"(?<![\w:.,/^\\])(?P<hour>0?[1-9]|1[0-2])(?::\s?(?P<minute>[0-5]\d))?"
    rf"\s?(?P<font>{OPENED})?(?:{_HALF}|{_PART})(?P<closed>(?(font)\s?\}}|))?"
    r"(?!\s*[-+*/^=<>_!(])",  # else it is a product, in a formula
    re.IGNORECASE,
)
_MIDDAY = re.compile(
    rf"(?<![\w:.,/^\\])(?:12(?::00)?\s?(?P<font>{OPENED})?)?"
    r"(?<![a-zA-Z])(?P<word>noon|midnight)(?![a-zA-Z])(?P<closed>(?(font)\s?\}|))?",
    re.IGNORECASE,
)
_TIME = re.compile(r"(\d{1,2})(?::(\d\d))?\s?([ap])\.?m\.?", re.IGNORECASE)
_HOURS = frozenset(range(1, 13))
_EVENING = range(6, 12)  # at night; the small hours are said to be in the morning as well


def in_one_form(text: str) -> str:
    """A text with its times of day as `4:30pm`, `12:00pm` for noon. `2am`, which may be a product,
    as `2 AM` may be beside anything else, and what belongs to no certain half of the day are left
    as they stand."""
    if not ("m" in text or "M" in text or _NO_M.search(text)):
        return text
    whole = _CLOCK.fullmatch(text.strip()) is not None
    return _MIDDAY.sub(_midday, _CLOCK.sub(partial(_clock, whole=whole), text))


_NO_M = re.compile(r"evening|noon|night", re.IGNORECASE)


def _clock(found: re.Match[str], whole: bool) -> str:
    hour, half = int(found["hour"]), found["half"]
    if half is None:
        if hour == 12 or (found["night"] and hour not in _EVENING):
            return found[0]
        half = "a" if (found["part"] or "").casefold() == "morning" else "p"
    elif not (found["minute"] or found["font"] or "." in found[0]) and not (
        whole and (" " in found[0] or half.isupper())
    ):
        return found[0]
    return f"{hour}:{found['minute'] or '00'}{half.casefold()}m{_rest(found)}"


def _midday(found: re.Match[str]) -> str:
    return f"12:00{'pm' if found['word'].casefold() == 'noon' else 'am'}{_rest(found)}"


def _rest(found: re.Match[str]) -> str:
    """The text macro that goes on behind the time."""
    return found["font"] if found["font"] and not found["closed"] else ""


def same_time(one: str, other: str) -> Verdict | None:
    """The verdict on two plain times of day; None unless both are some."""
    left, right = _TIME.fullmatch(one), _TIME.fullmatch(other)
    if not left or not right or not {int(left[1]), int(right[1])} <= _HOURS:
        return None
    same = _read(left) == _read(right)
    return Verdict(same, "same time" if same else "different times")


def is_time(body: str) -> bool:
    """Whether a plain answer is a time of day; `2am` may be."""
    return _TIME.fullmatch(body) is not None


def _read(time: re.Match[str]) -> tuple[int, int, str]:
    return int(time[1]), int(time[2] or 0), time[3].casefold()

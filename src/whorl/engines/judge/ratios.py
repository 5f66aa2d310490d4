"""Ratios: `3 : 4` is `6 : 8` and the quotient 3/4."""

import re

from whorl.answer import Conventions, Verdict
from whorl.engines.judge.compare import same_terms
from whorl.engines.judge.reader import read
from whorl.engines.judge.same import ZERO, same
from whorl.engines.judge.terms import Apply, Term

_RATIO = re.compile(r"[^:=<>,;|]{1,200}(?::[^:=<>,;|]{1,200}){1,5}")
_OF_DAY_OR_LABEL = re.compile(r"\d{1,2}:\d\d|(?:\d+:){1,2}\d\d\s?[a-zA-Z][a-zA-Z. ]+|[A-J]:\s?\d")

_TIME = re.compile(r"\d:\d\d\s?[ap]\.?\s?m", re.IGNORECASE)


def same_ratio(one: str, other: str, rules: Conventions) -> Verdict | None:
    """The verdict where a side is a ratio; None where neither is, or where one may be a time of
    day or a choice with its text. Raises `Unreadable`."""
    one, other = one.replace(r"\colon", ":"), other.replace(r"\colon", ":")
    if ":" not in one + other or _TIME.search(one) or _TIME.search(other):
        return None
    left, right = _members(one), _members(other)
    if left is None or right is None:
        return None
    if any(same(member, ZERO).right is not False for member in left + right):
        return None  # proportional to anything
    if len(left) == len(right):
        verdicts = [
            same_terms(_times(left[n], right[n + 1]), _times(left[n + 1], right[n]), rules).right
            for n in range(len(left) - 1)
        ]
        return _said(False if False in verdicts else None if None in verdicts else True)
    if (len(left), len(right)) in ((1, 2), (2, 1)):
        quotients = [side[0] if len(side) == 1 else Apply("/", side) for side in (left, right)]
        return same_terms(quotients[0], quotients[1], rules)
    return Verdict(False, "ratios of different length")


def _said(same: bool | None) -> Verdict:
    return Verdict(same, "different ratios" if same is False else "same ratio")


def _times(one: Term, other: Term) -> Term:
    return Apply("*", (one, other))


def _members(text: str) -> tuple[Term, ...] | None:
    """What a ratio relates; a text without a colon alone; None for what is no ratio."""
    if ":" not in text:
        return (read(text),) if not re.search(r"[=<>,;|]", text) else None
    if not _RATIO.fullmatch(text) or r"\{" in text or _OF_DAY_OR_LABEL.fullmatch(text):
        return None
    return tuple(read(part) for part in text.split(":"))

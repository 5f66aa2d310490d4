"""Equality where arithmetic settles it, in microseconds."""

import re
from fractions import Fraction

from whorl.answer.compounds import in_two_units
from whorl.answer.conventions import (
    FLOAT_DIGITS,
    FLOAT_NOISE,
    FLOAT_PLACES,
    LONGEST,
    USUAL,
    Conventions,
    Verdict,
)
from whorl.answer.lists import Items, items
from whorl.answer.measures import both_measured, in_one_unit, tell_apart
from whorl.answer.numbers import going_on, number
from whorl.answer.plain import take_apart, with_points
from whorl.answer.spoken import ordinal
from whorl.answer.times import same_time
from whorl.answer.units import measured_otherwise

_PLAIN_INTEGER = re.compile(r"-?\d{1,18}")
_WORDS = re.compile(r"[a-zA-Z]+(?: [a-zA-Z]+)*")
_SHORT_WORDS = frozenset(
    [
        "yes",
        "no",
        "odd",
        "even",
        "true",
        "none",
        "all",
        "both",
        "red",
        "blue",
        "left",
        "up",
        "down",
        "east",
        "west",
        "lies",
        "mon",
        "tue",
        "wed",
        "thu",
        "fri",
        "sat",
        "sun",
        "may",
        "june",
        "july",
    ]
)
_CHOICE = re.compile(r"(?:[oO]ption|[cC]hoice)? ?(?:\(?([A-Z])\)?|\(?([a-d])\)?)")
_LABELLED = re.compile(r"(?:\(([A-Ja-e])\)|([A-J])[).:])\s*(\S.*)")
_BASED = re.compile(r"(\d+)_(?:\{(\d+)\}|(\d+))")
_NESTING = 2  # lists of tuples
_ALGEBRA = Verdict(None, "takes algebra")


def equal(gold: str, answer: str) -> bool | None:
    """Whether two answers are the same by the usual conventions: True or False only where that is
    certain, None where it takes algebra. Symmetric; `equal(a, a)` is True.
    """
    return compare(gold, answer).right


def compare(gold: str, answer: str, rules: Conventions = USUAL) -> Verdict:
    """`equal` by any conventions, with the reason."""
    if gold == answer:
        return Verdict(True, "same text")
    if rules.decimals == "comma":
        gold, answer = with_points(gold), with_points(answer)
    if len(gold) > LONGEST or len(answer) > LONGEST:
        return Verdict(False, f"over {LONGEST:,} characters")
    if _PLAIN_INTEGER.fullmatch(gold) and _PLAIN_INTEGER.fullmatch(answer):
        return _said(int(gold) == int(answer), "number")
    if compound := in_two_units(gold, answer, rules):
        return compound
    if measured_otherwise(gold, answer):
        return Verdict(None, "numbers with other units")
    one, other = both_measured(take_apart(gold), take_apart(answer))
    if not one.body or not other.body:
        return Verdict(False, "empty answer") if one.body or other.body else _ALGEBRA
    if apart := tell_apart(one, other, rules):
        return apart
    if one.name and other.name and one.name != other.name:
        return _ALGEBRA
    one, other = in_one_unit(one, other, rules)
    return _compare(one.body, other.body, rules, nesting=_NESTING)


def _said(same: bool, what: str) -> Verdict:
    return Verdict(same, f"same {what}" if same else f"different {what}s")


def _compare(one: str, other: str, rules: Conventions, *, nesting: int) -> Verdict:
    """`compare` of two plain bodies, down to lists of tuples."""
    if one == other:
        return Verdict(True, "same plain form")
    verdict = _compare_numbers(one, other, rules)
    if verdict is not None:
        return verdict
    if r"\ldots" in one + other and (endless := _compare_endless(one, other)):
        return endless
    if chosen := _compare_choices(one, other, rules, nesting=nesting):
        return chosen
    if _WORDS.fullmatch(one) and _WORDS.fullmatch(other) and one.casefold() == other.casefold():
        # Letters of a few may be variables, whose case counts.
        words = len(one) > 4 or one.casefold() in _SHORT_WORDS
        return _said(True, "words") if words else _ALGEBRA
    if of_day := same_time(one, other):
        return of_day
    if (left := _BASED.fullmatch(one)) and (right := _BASED.fullmatch(other)):
        if int(left[2] or left[3]) != int(right[2] or right[3]):
            return _ALGEBRA
        return _said(int(left[1]) == int(right[1]), "numeral")
    if nesting:
        same = _compare_lists(items(one), items(other), rules, nesting=nesting - 1)
        return _ALGEBRA if same is None else _said(same, "list")
    return _ALGEBRA


def _compare_choices(one: str, other: str, rules: Conventions, *, nesting: int) -> Verdict | None:
    """A letter alone is the choice of that name, a to d in either case. Text beside a letter is
    compared where both sides have some, and where only one of them has a letter."""
    left, right = _CHOICE.fullmatch(one), _CHOICE.fullmatch(other)
    if left and right:
        letters = (left[1] or left[2]), (right[1] or right[2])
        variable = rules.choices == "bare" or nesting < _NESTING or max(letters).upper() > "D"
        if variable and any(letter.islower() for letter in letters):
            return None
        return _said(letters[0].upper() == letters[1].upper(), "choice")
    if rules.choices == "bare":
        return None
    labelled = _LABELLED.fullmatch(one), _LABELLED.fullmatch(other)
    if labelled[0] and labelled[1]:
        same = _letter(labelled[0]) == _letter(labelled[1])
        beside = _compare(labelled[0][3], labelled[1][3], rules, nesting=nesting)
        return Verdict(False, "different choices") if not same else beside
    if nesting < _NESTING and any(labelled):
        return None  # `A: 5, B: 3`: a member keeps its label
    for mine, letter, text in ((labelled[0], right, other), (labelled[1], left, one)):
        if mine and letter:
            return _said(_letter(mine) == (letter[1] or letter[2]).upper(), "choice")
        if mine:
            return _compare(mine[3], text, rules, nesting=nesting)
    return None


def _letter(labelled: re.Match[str]) -> str:
    return (labelled[1] or labelled[2]).upper()


def _compare_numbers(one: str, other: str, rules: Conventions) -> Verdict | None:
    left, right = number(one.removesuffix("%")), number(other.removesuffix("%"))
    if (left is None or right is None) and "%" not in one + other:
        left = ordinal(one) if left is None else left
        right = ordinal(other) if right is None else right
        return _said(left == right, "number") if left is not None and right is not None else None
    if left is None or right is None:
        return None
    signs = one.endswith("%"), other.endswith("%")
    if signs[0] != signs[1] and rules.percent != "number":
        parts = left / (100 if signs[0] else 1), right / (100 if signs[1] else 1)
        same = parts[0] == parts[1] or _close(one, parts[0], other, parts[1], rules)
        if same or rules.percent == "fraction":
            return _said(same, "number")
    return _said(left == right or _close(one, left, other, right, rules), "number")


def _compare_endless(one: str, other: str) -> Verdict | None:
    """`0.333...` is 1/3, and may be what else begins so; None if one is no decimal."""
    shown = [side.removesuffix(r"\ldots") for side in (one, other)]
    left, right = (number(side) for side in shown)
    if left is None or right is None:
        return None
    exact = [
        number(side) if decimal == side else going_on(decimal)
        for side, decimal in zip((one, other), shown, strict=True)
    ]
    if exact[0] is not None and exact[0] == exact[1]:
        return _said(True, "number")
    places = min(len(side.partition(".")[2]) for side in shown if f"{side}\\ldots" in (one, other))
    apart = abs(left - right) > Fraction(1, 10**places)
    return _said(False, "number") if apart else Verdict(None, "a decimal that goes on")


def _close(one: str, left: Fraction, other: str, right: Fraction, rules: Conventions) -> bool:
    """Whether one side is a decimal approximation that agrees with the other."""
    if not rules.tolerance or ("." not in one and "." not in other):
        return False
    apart, size = abs(left - right), max(abs(left), abs(right))
    if apart > Fraction(rules.tolerance) * size:
        return False
    endless = not _terminates(left) or not _terminates(right)
    places = [len(decimals) for decimals in re.findall(r"\.(\d+)", f"{one} {other}")]
    if not rules.rounds_only:
        return endless or max(places, default=0) >= rules.places
    if endless:
        return apart <= Fraction(1, 10 ** min(places, default=0))
    digits = [len(re.sub(r"\D", "", side).lstrip("0")) for side in (one, other)]
    noisy = max(places, default=0) >= FLOAT_PLACES and max(digits) >= FLOAT_DIGITS
    return noisy and apart <= FLOAT_NOISE * size


def _terminates(value: Fraction) -> bool:
    """Whether a decimal can write it: no prime but 2 and 5 divides its denominator."""
    below = value.denominator
    below >>= (below & -below).bit_length() - 1
    return pow(5, below.bit_length(), below) == 0


def _compare_lists(
    one: Items | None, other: Items | None, rules: Conventions, *, nesting: int
) -> bool | None:
    if one is None or other is None:
        return None
    if one.ordered != other.ordered or max(len(one.members), len(other.members)) > 16:
        return None
    same_length = len(one.members) == len(other.members)
    if one.ordered or (rules.lists == "ordered" and not one.left and not other.left):
        if not same_length:
            return False
        pairs = zip(one.members, other.members, strict=True)
        verdicts = [_compare(*pair, rules, nesting=nesting).right for pair in pairs]
        if all(verdicts):
            return (one.left, one.right) == (other.left, other.right)
        return False if False in verdicts else None
    table = [
        [_compare(member, rival, rules, nesting=nesting).right for rival in other.members]
        for member in one.members
    ]
    if any(set(line) == {False} for line in [*table, *zip(*table, strict=True)]):
        return False  # a member that none of the others equals
    once = all(line.count(True) == 1 for line in [*table, *zip(*table, strict=True)])
    return True if once else None

"""The verdict on a pair that arithmetic does not settle: texts taken apart, then terms compared."""

import re
from dataclasses import replace

from whorl.answer import (
    USUAL,
    Conventions,
    Parts,
    Verdict,
    both_measured,
    compare,
    in_one_unit,
    parsable,
    take_apart,
    tell_apart,
    with_points,
    worded,
)
from whorl.answer.compounds import in_two_units
from whorl.answer.numbers import number
from whorl.answer.times import is_time
from whorl.answer.units import measured_otherwise
from whorl.engines.judge.compare import same_terms
from whorl.engines.judge.lists import Judged, each, is_several, same_list, solutions_as_tuples
from whorl.engines.judge.ratios import same_ratio
from whorl.engines.judge.reader import read
from whorl.engines.judge.remarks import judged_with_remarks
from whorl.engines.judge.statements import same_statement, with_commas
from whorl.engines.judge.terms import Unreadable


def judge(gold: str, answer: str, rules: Conventions = USUAL) -> Verdict:
    """Whether `answer` says the same as `gold`, by algebra."""

    def judged(one: str, other: str) -> Verdict:
        try:
            return _judge(one, other, rules)
        except Unreadable as unreadable:
            return Verdict(None, f"cannot be read: {unreadable}")

    try:
        return judged_with_remarks(gold, answer, judged) or judged(gold, answer)
    except Exception as error:  # RecursionError and MemoryError among them; no judge dies of a text
        return Verdict(None, f"cannot be worked out ({type(error).__name__})")


def _judge(gold: str, answer: str, rules: Conventions) -> Verdict:
    if rules.decimals == "comma":
        gold, answer = with_points(gold), with_points(answer)
        rules = replace(rules, decimals="point")
    settled = compare(gold, answer, rules)
    if settled.right is not None:
        return settled
    if not (parsable(gold) and parsable(answer)):
        return Verdict(None, "braces do not match")
    if compound := in_two_units(gold, answer, rules):
        return compound
    if measured_otherwise(gold, answer):
        return Verdict(None, "numbers with other units")
    one, other = both_measured(take_apart(gold), take_apart(answer))
    apart = tell_apart(one, other, rules)
    if apart is not None:
        return apart
    one, other = in_one_unit(one, other, rules)
    if _are_words(one.body, other.body, gold + answer):
        return _said(_letters(one.body) == _letters(other.body), "words")
    return (
        _of_day(one.body, other.body)
        or _words(gold, other.body)
        or _words(answer, one.body)
        or _numerals(one.body, other.body)
        or _approximate(one, other, rules)
        or _labels(one.body, other.body)
        or same_ratio(one.body, other.body, rules)
        or same_statement(gold, answer, rules)
        or _values(with_commas(one), with_commas(other), rules)
    )


def _values(one: Parts, other: Parts, rules: Conventions) -> Verdict:
    """Lists member by member, everything else as terms."""

    def judged(mine: str, theirs: str) -> Verdict:
        return _judge(mine, theirs, members)

    members = replace(rules, choices="bare")  # what is listed are values
    if _equation(one).count("=") != _equation(other).count("="):
        one, other = _end_of_chain(one, judged), _end_of_chain(other, judged)
    several = is_several(one.body) or is_several(other.body)
    if several and one.name and other.name and not _may_be_one(one.name, other.name):
        return Verdict(None, "different names")
    one = one._replace(body=solutions_as_tuples(one.body) or one.body)
    other = other._replace(body=solutions_as_tuples(other.body) or other.body)
    ordered = rules.lists == "ordered"
    return same_list(one, other, judged, ordered=ordered) or _single(one, other, rules)


def _end_of_chain(answer: Parts, judged: Judged) -> Parts:
    """`S = \\frac{1}{2} \\cdot 6 = 3` as `S = 3`, if all its sides are the same."""
    sides = [side.strip() for side in _equation(answer).split("=")]
    if not 3 <= len(sides) <= _MOST_SIDES or not all(sides):
        return answer
    name = take_apart(f"{sides[0]}=1").name
    values = sides[1:] if name else sides
    if all(judged(side, values[-1]).right for side in values[:-1]):
        return Parts(name, values[-1], answer.unit)
    return answer


_MOST_SIDES = 8


def _single(one: Parts, other: Parts, rules: Conventions) -> Verdict:
    """Two answers that are one thing each. A name is compared if both have one."""
    if one.name and other.name and not _may_be_one(one.name, other.name):
        if _CALLED.fullmatch(one.name) and _CALLED.fullmatch(other.name):
            return Verdict(False, "different names")
        if _is_word(one.name) != _is_word(other.name):  # a label, beside a variable
            same = same_terms(read(one.body), read(other.body), rules)
            return Verdict(None, "other names") if same.right else same
        return same_terms(read(_equation(one)), read(_equation(other)), rules)
    if one.name != other.name and "=" in one.body + other.body:
        return same_terms(read(_equation(one)), read(_equation(other)), rules)
    return same_terms(read(one.body), read(other.body), rules)


_CALLED = re.compile(r".+\(.*\)")
_WORD = re.compile(r"[a-zA-Z]{3,}(?: ?[a-zA-Z]+)*")
_OF_X = re.compile(r"[a-zA-Z]\(x\)")


def _is_word(name: str) -> bool:
    return _WORD.fullmatch(name) is not None and not name.isupper()


def _may_be_one(one: str, other: str) -> bool:
    """Whether two names stand for one thing: `y` is the graph of `f(x)`, and `x_1` one of the x."""
    if one == other or ("y" in (one, other) and (_OF_X.fullmatch(one) or _OF_X.fullmatch(other))):
        return True
    return one.partition("_")[0] == other.partition("_")[0] and (one + other).count("_") == 1


def _equation(answer: Parts) -> str:
    return f"{answer.name}={answer.body}" if answer.name else answer.body


def _said(same: bool, what: str) -> Verdict:
    return Verdict(same, f"{'same' if same else 'different'} {what}")


def _of_day(one: str, other: str) -> Verdict | None:
    """A time of day beside a number, or anything else if it is surely one."""
    for time, beside in ((one, other), (other, one)):
        if is_time(time) and (":" in time or number(beside) is not None):
            return Verdict(None, "a time of day and something else")
    return None


def _words(written: str, beside: str) -> Verdict | None:
    """A number with letters after a blank beside a number: `3 wug` are three, or a product."""
    letters = _LETTERS_AFTER.fullmatch(worded(written)) if number(beside) is not None else None
    if letters and number(letters[1].replace(" ", "")) is not None:
        return Verdict(None, "a word or a product")
    return None


_LETTERS_AFTER = re.compile(r"(.*[\d}])\s(?:[a-zA-Z]{2,4}|[mghlsJKLNVW])")
_BASED = re.compile(r"(\d+)_\{?(\d+)\}?")


def _numerals(one: str, other: str) -> Verdict | None:
    """A numeral with its base, where digits alone are enough if the question sets the base."""
    left, right = _BASED.fullmatch(one), _BASED.fullmatch(other)
    if not left and not right:
        return None
    if left and other.isdigit():
        return _said(left[1] == other, "digits")
    if right and one.isdigit():
        return _said(right[1] == one and right[2] == "10", "digits and base")
    return Verdict(None, "a numeral with its base")


def _labels(one: str, other: str) -> Verdict | None:
    """`Tom: 2, Bob: 3` beside anything else: whose value is which, no arithmetic tells."""
    if any(len(_LABEL.findall(side)) > 1 for side in (one, other)):
        return Verdict(None, "values with labels")
    return None


_LABEL = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{3,20}\s?:\s?[-+\d\\]")
_ARTICLE = re.compile(r"(?:an?|the) (?=[a-z]{3})", re.IGNORECASE)


def _letters(text: str) -> str:
    letters = re.sub(r"[\s{}]", "", _ARTICLE.sub("", text)).casefold()
    return "doesnotexist" if letters == "dne" else letters


def _are_words(one: str, other: str, raw: str) -> bool:
    """Texts rather than products of variables: more letters than those have, or said to be text."""
    sides = [side.replace(" ", "") for side in (one, other)]
    if not all(side.isalpha() for side in sides):
        return False
    most = max(map(len, sides))
    return most > 4 or (most > 1 and r"\text" in raw)


# Approximations


def _approximate(one: Parts, other: Parts, rules: Conventions) -> Verdict | None:
    """`A \\approx B` says that its answer is A, and what that comes to."""
    if r"\approx" not in one.body + other.body:
        return None
    left, right = _sides(one.body), _sides(other.body)
    if len(left) == len(right):
        return each(zip(left, right, strict=True), lambda mine, theirs: _judge(mine, theirs, rules))
    if min(len(left), len(right)) > 1:
        return Verdict(None, "approximations of different kinds")
    lone, sides = (left[0], right) if len(left) == 1 else (right[0], left)
    verdicts = [_judge(lone, side, rules) for side in sides]
    consistent = _judge(sides[0], sides[-1], _LOOSE)
    if any(verdict.right for verdict in verdicts) and consistent.right:
        return Verdict(True, "same value as one side of an approximation")
    return Verdict(None if consistent.right is None else False, "not either side")


_LOOSE = Conventions(tolerance=0.05)


def _sides(body: str) -> list[str]:
    return [side.strip() for side in body.split(r"\approx")]

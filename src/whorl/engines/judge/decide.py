"""The verdict on a pair that arithmetic does not settle: texts taken apart, then terms compared."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product

from whorl.answer import (
    USUAL,
    Conventions,
    Items,
    Parts,
    Verdict,
    both_measured,
    compare,
    in_one_unit,
    items,
    parsable,
    take_apart,
    tell_apart,
    with_points,
    worded,
)
from whorl.engines.judge.compare import same_terms
from whorl.engines.judge.reader import read
from whorl.engines.judge.sets import NotASet, has_sets, is_relation, joined, variables
from whorl.engines.judge.terms import Symbol, Term, Unreadable


def judge(gold: str, answer: str, rules: Conventions = USUAL) -> Verdict:
    """Whether `answer` says the same as `gold`, by algebra."""
    try:
        return _judge(gold, answer, rules)
    except Unreadable as unreadable:
        return Verdict(None, f"cannot be read: {unreadable}")
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
    one, other = both_measured(take_apart(gold), take_apart(answer))
    apart = tell_apart(one, other, rules)
    if apart is not None:
        return apart
    one, other = in_one_unit(one, other, rules)
    if _are_words(one.body, other.body, gold + answer):
        return _said(_letters(one.body) == _letters(other.body), "words")
    for left, right in ((one, other), (other, one)):
        if numeral := _BASED.fullmatch(left.body):
            if right.body.isdigit():  # a question that sets the base need not be echoed
                return _said(
                    numeral[1] == right.body and (left is one or numeral[2] == "10"), "digits"
                )
            return Verdict(None, "a numeral with its base")
    if r"\approx" in one.body + other.body:
        return _approximate(one, other, rules)
    if (
        one.name
        and other.name
        and one.name != other.name
        and (_several(one.body) or _several(other.body))
    ):
        return Verdict(None, "different names")
    groups = _groups(one.body), _groups(other.body)
    if groups[0] or groups[1]:
        one, other = (
            one._replace(body=groups[0] or one.body),
            other._replace(body=groups[1] or other.body),
        )
    whole = _whole(gold, answer, rules)
    if whole is not None:
        return whole
    return _lists(one, other, rules) or _single(one, other, rules)


def _single(one: Parts, other: Parts, rules: Conventions) -> Verdict:
    """Two answers that are one thing each. A name is compared if both have one."""
    if one.name and other.name and one.name != other.name and not _are_graphs(one.name, other.name):
        if _CALLED.fullmatch(one.name) and _CALLED.fullmatch(other.name):
            return Verdict(False, "different names")
        return same_terms(read(_equation(one)), read(_equation(other)), rules)
    if one.name != other.name and "=" in one.body + other.body:
        return same_terms(read(_equation(one)), read(_equation(other)), rules)
    return same_terms(read(one.body), read(other.body), rules)


_CALLED = re.compile(r".+\(.*\)")
_OF_X = re.compile(r"[a-zA-Z]\(x\)")


def _are_graphs(one: str, other: str) -> bool:
    """`y = ...` is the graph of `f(x) = ...`."""
    return (one == "y" and bool(_OF_X.fullmatch(other))) or (
        other == "y" and bool(_OF_X.fullmatch(one))
    )


def _equation(answer: Parts) -> str:
    return f"{answer.name}={answer.body}" if answer.name else answer.body


def _said(same: bool, what: str) -> Verdict:
    return Verdict(same, f"{'same' if same else 'different'} {what}")


_BASED = re.compile(r"(\d+)_\{?(\d+)\}?")


def _letters(text: str) -> str:
    return re.sub(r"[\s{}]", "", text).casefold()


def _are_words(one: str, other: str, raw: str) -> bool:
    """Texts rather than products of variables: more letters than those have, or said to be text."""
    sides = [side.replace(" ", "") for side in (one, other)]
    if not all(side.isalpha() for side in sides):
        return False
    most = max(map(len, sides))
    return most > 4 or (most > 1 and r"\text" in raw)


# Approximations


def _approximate(one: Parts, other: Parts, rules: Conventions) -> Verdict:
    """`A \\approx B` says that its answer is A, and what that comes to."""
    left, right = _sides(one.body), _sides(other.body)
    if len(left) == len(right):
        return _all(zip(left, right, strict=True), rules)
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


# Relations and sets


def _whole(gold: str, answer: str, rules: Conventions) -> Verdict | None:
    """The verdict on sets and relations, with their "or" and "and"; None on other answers."""
    terms = []
    for text in (gold, answer):
        try:
            terms.append(_read_whole(worded(text)))
        except Unreadable:
            return None
    if not any(map(has_sets, terms)):
        return None
    return same_terms(terms[0], terms[1], rules)


def _read_whole(text: str) -> Term:
    """A text as one term; relations with commas between them as what they say together."""
    listed = items(text)
    if listed is None or listed.left:
        if r"\ne" not in text or not _PM.search(text):
            return read(text)
        return joined([read(variant) for variant in _signs(text, linked=True)])  # neither of them
    members = [read(member) for member in listed.members]
    if not all(map(is_relation, members)) or len(frozenset().union(*map(variables, members))) > 1:
        raise Unreadable("a list")
    try:
        return joined(members)
    except NotASet as reason:
        raise Unreadable(str(reason)) from None


# Lists


def _several(body: str) -> bool:
    return items(body) is not None or _PM.search(body) is not None


def _groups(body: str) -> str:
    """`p = 5, q = 2; p = 7, q = 2` as a list of tuples; empty for anything else."""
    if ";" not in body:
        return ""
    solutions = [items(part.strip()) for part in body.split(";")]
    names = {tuple(_names(part.members)) if part else () for part in solutions}
    if len(solutions) < 2 or len(names) > 1 or not all(next(iter(names), ())):
        return ""
    tuples = (", ".join(take_apart(m).body for m in part.members) for part in solutions if part)
    return ", ".join(f"({values})" for values in tuples)


_PM = re.compile(r"\\(?:pm|mp)(?![a-zA-Z])")
_MOST_SIGNS = 4


def _signs(body: str, linked: bool) -> list[str]:
    """`1 \\pm x \\mp y` as both of what it stands for, all upper signs or all lower ones."""
    found = len(_PM.findall(body))
    if not found:
        return [body]
    if found > _MOST_SIGNS:
        raise Unreadable("too many double signs")
    choices = (True, False)
    taken: Sequence[tuple[bool, ...]] = [(upper,) * found for upper in choices]
    if not linked:
        taken = list(product(choices, repeat=found))
    variants = []
    for uppers in taken:
        signs = iter(uppers)
        variants.append(_PM.sub(lambda sign, s=signs: _sign(sign[0], next(s)), body))  # type: ignore[misc]
    return variants


def _sign(sign: str, upper: bool) -> str:
    return "+" if (sign == r"\pm") == upper else "-"


def _lists(one: Parts, other: Parts, rules: Conventions) -> Verdict | None:
    """The verdict where one side is a list or set, or has a double sign; None if neither does."""
    rules = replace(rules, choices="bare")  # what is listed are values
    left, right = items(one.body), items(other.body)
    if left and right and left.ordered and right.ordered:
        if len(left.members) != len(right.members):
            return Verdict(False, "different lengths")
        if _PM.search(one.body + other.body):
            return _signed(one.body, other.body, rules)
        return None if _is_interval(left) and _is_interval(right) else _tuples(left, right, rules)
    if _PM.search(one.body + other.body):
        return _signed(one.body, other.body, rules)
    named = _named_tuple(left, right)
    if named is not None:
        return _all(zip(*named, strict=True), rules)
    mine, theirs = _listed(left), _listed(right)
    if mine is None and theirs is None:
        return None
    if mine is None or theirs is None:
        return _one_and_many(one, other, mine, theirs, rules)
    if all(member.startswith("(") for member in (*mine, *theirs)):
        mine, theirs = _distinct(mine), _distinct(theirs)  # a solution found twice is one
    if len(mine) != len(theirs):
        return Verdict(False, "different number of members")
    assert left is not None and right is not None
    ordered = rules.lists == "ordered" and not left.left and not right.left
    if ordered or _must_be_in_order(mine, theirs):
        return _all(zip(mine, theirs, strict=True), rules)
    return _in_any_order(mine, theirs, rules)


def _distinct(members: Sequence[str]) -> Sequence[str]:
    found: list[str] = []
    for member in members:
        if not any(compare(member, known).right for known in found):
            found.append(member)
    return found


def _is_interval(listed: Items) -> bool:
    return len(listed.members) == 2 and (listed.left + listed.right) in ("(]", "[)", "[]")


def _listed(listed: Items | None) -> Sequence[str] | None:
    return listed.members if listed is not None and not listed.ordered else None


def _one_and_many(
    one: Parts,
    other: Parts,
    mine: Sequence[str] | None,
    theirs: Sequence[str] | None,
    rules: Conventions,
) -> Verdict | None:
    """A set of one thing is that thing; otherwise a list is no single value."""
    alone = mine if mine is not None else theirs
    assert alone is not None
    if len(alone) == 1:
        return _judge(alone[0], other.body, rules) if mine else _judge(one.body, alone[0], rules)
    single = one.body if mine is None else other.body
    term = read(single)
    if has_sets(term) or (isinstance(term, Symbol) and term.name.startswith("\\")):
        return None
    return Verdict(False, "a list and a single value")


def _names(members: Sequence[str]) -> list[str]:
    return [take_apart(member).name for member in members]


def _must_be_in_order(mine: Sequence[str], theirs: Sequence[str]) -> bool:
    """Values of several variables, where one side leaves the names out."""
    names = _names(mine), _names(theirs)
    bases = [{name.partition("_")[0] for name in side} for side in names]
    return any(
        len(base) > 1 and not any(rest) for base, rest in zip(bases, names[::-1], strict=True)
    )


def _named_tuple(
    left: Items | None, right: Items | None
) -> tuple[Sequence[str], Sequence[str]] | None:
    """Members of `x = 1, y = 2` beside those of `(1, 2)`: its variables in alphabetical order."""
    if left is None or right is None or len(left.members) != len(right.members):
        return None
    for named, values in ((left, right), (right, left)):
        names = _names(named.members)
        if not named.left and values.left == "(" and all(names) and len(set(names)) == len(names):
            by_name = [member for _, member in sorted(zip(names, named.members, strict=True))]
            return (by_name, values.members) if named is left else (values.members, by_name)
    return None


def _signed(gold: str, answer: str, rules: Conventions) -> Verdict:
    """With double signs written out: linked ones first, then each for itself."""
    undecided = False
    for linked in (True, False):
        one, other = _variants(gold, linked), _variants(answer, linked)
        if len(one) != len(other):
            continue
        verdict = _in_any_order(one, other, rules)
        if verdict.right:
            return verdict
        undecided = undecided or verdict.right is None
    return Verdict(None if undecided else False, "different with either sign")


def _variants(body: str, linked: bool) -> list[str]:
    listed = items(body)
    members = [body] if listed is None or listed.ordered else listed.members
    return [variant for member in members for variant in _signs(member, linked)]


def _in_any_order(mine: Sequence[str], theirs: Sequence[str], rules: Conventions) -> Verdict:
    """Each member of the answer is used once, so multiple roots must be named as often."""
    if len(mine) > _MOST_MEMBERS:
        return Verdict(None, "too many members")
    left = list(theirs)
    for number, member in enumerate(mine, start=1):
        verdicts: list[bool | None] = []
        for rival in left:
            verdicts.append(_judge(member, rival, rules).right)
            if verdicts[-1]:
                break
        if not verdicts[-1]:
            return Verdict(None if None in verdicts else False, f"member {number} is not found")
        del left[len(verdicts) - 1]
    return Verdict(True, "same members")


_MOST_MEMBERS = 64


def _tuples(gold: Items, answer: Items, rules: Conventions) -> Verdict:
    if (gold.left, gold.right) != (answer.left, answer.right):
        return Verdict(False, "different brackets")
    return _all(zip(gold.members, answer.members, strict=True), rules)


def _all(pairs: Iterable[tuple[str, str]], rules: Conventions) -> Verdict:
    undecided: Verdict | None = None
    for number, pair in enumerate(pairs, start=1):
        verdict = _judge(*pair, rules)
        if verdict.right is False:
            return Verdict(False, f"different at {number}")
        undecided = undecided or (verdict if verdict.right is None else None)
    return undecided or Verdict(True, "same members")

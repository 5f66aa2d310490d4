"""Lists, tuples and sets of answers, compared member by member."""

import re
from collections.abc import Callable, Iterable, Sequence

from whorl.answer import Items, Parts, Verdict, compare, items, take_apart
from whorl.engines.judge.reader import read
from whorl.engines.judge.sets import has_sets
from whorl.engines.judge.signs import DOUBLE, signs
from whorl.engines.judge.terms import Symbol

Judged = Callable[[str, str], Verdict]
"""The verdict on two members."""


def is_several(body: str) -> bool:
    return items(body) is not None or DOUBLE.search(body) is not None


def solutions_as_tuples(body: str) -> str:
    """`p = 5, q = 2; p = 7, q = 2` as a list of tuples; empty for anything else."""
    if ";" not in body:
        return ""
    solutions = [items(part.strip()) for part in body.split(";")]
    names = {tuple(_names(part.members)) if part else () for part in solutions}
    if len(solutions) < 2 or len(names) > 1 or not all(next(iter(names), ())):
        return ""
    tuples = (", ".join(take_apart(m).body for m in part.members) for part in solutions if part)
    return ", ".join(f"({values})" for values in tuples)


def same_list(one: Parts, other: Parts, judged: Judged, *, ordered: bool) -> Verdict | None:
    """The verdict where one side is a list or set, or has a double sign; None if neither does."""
    left, right = items(one.body), items(other.body)
    if left and right and left.ordered and right.ordered:
        if len(left.members) != len(right.members):
            return Verdict(False, "different lengths")
        if DOUBLE.search(one.body + other.body):
            return _signed(one.body, other.body, judged)
        return None if _is_interval(left) and _is_interval(right) else _tuples(left, right, judged)
    if DOUBLE.search(one.body + other.body):
        return _signed(one.body, other.body, judged)
    named = _named_tuple(left, right)
    if named is not None:
        return each(zip(*named, strict=True), judged)
    mine, theirs = _listed(left), _listed(right)
    if _is_nested(mine) != _is_nested(theirs):
        return Verdict(None, "a set of sets")
    if mine is None and theirs is None:
        return None
    if mine is None or theirs is None:
        return _one_and_many(one, other, mine, theirs, judged)
    if all(member.startswith("(") for member in (*mine, *theirs)):
        mine, theirs = _distinct(mine), _distinct(theirs)  # a solution found twice is one
    if len(mine) != len(theirs):
        return Verdict(False, "different number of members")
    assert left is not None and right is not None
    ordered = ordered and not left.left and not right.left
    if ordered or _must_be_in_order(mine, theirs):
        return each(zip(mine, theirs, strict=True), judged)
    return _in_any_order(mine, theirs, judged)


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


def _is_nested(members: Sequence[str] | None) -> bool:
    return any(member.startswith(r"\{") for member in members or ())


def _one_and_many(
    one: Parts,
    other: Parts,
    mine: Sequence[str] | None,
    theirs: Sequence[str] | None,
    judged: Judged,
) -> Verdict | None:
    """A set of one thing is that thing; otherwise a list is no single value."""
    alone = mine if mine is not None else theirs
    assert alone is not None
    if len(alone) == 1 and (r"\emptyset" in alone[0] or alone[0].startswith(r"\{")):
        return Verdict(None, "a set of sets")
    if len(alone) == 1:
        return judged(alone[0], other.body) if mine else judged(one.body, alone[0])
    single = one.body if mine is None else other.body
    term = read(single)
    if has_sets(term) or (isinstance(term, Symbol) and term.name.startswith("\\")):
        return None
    grouped = "".join(alone) == single and _LAKHS.fullmatch(",".join(alone))
    if grouped or any(map(_PROSE.search, alone)):
        return Verdict(None, "a list, perhaps")
    return Verdict(False, "a list and a single value")


_LAKHS = re.compile(r"\d{1,2}(?:,\d\d)+,\d{3}")  # 1,23,456 is a number in India
_PROSE = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{2,} [a-zA-Z]{2,}")


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


def _signed(gold: str, answer: str, judged: Judged) -> Verdict:
    """With double signs written out: linked ones first, then each for itself."""
    undecided = False
    of_its_own = r"\mp" not in gold + answer  # which says that the signs are linked
    for linked in (True, False)[: 1 + of_its_own]:
        one, other = _variants(gold, linked), _variants(answer, linked)
        if len(one) != len(other):
            continue
        verdict = _in_any_order(one, other, judged)
        if verdict.right:
            return verdict
        undecided = undecided or verdict.right is None
    return Verdict(None if undecided else False, "different with either sign")


def _variants(body: str, linked: bool) -> list[str]:
    listed = items(body)
    members = [body] if listed is None or listed.ordered else listed.members
    return [variant for member in members for variant in signs(member, linked)]


def _in_any_order(mine: Sequence[str], theirs: Sequence[str], judged: Judged) -> Verdict:
    """Each member of the answer is used once, so multiple roots must be named as often."""
    if len(mine) > _MOST_MEMBERS:
        return Verdict(None, "too many members")
    left = list(theirs)
    for number, member in enumerate(mine, start=1):
        verdicts: list[bool | None] = []
        for rival in left:
            verdicts.append(judged(member, rival).right)
            if verdicts[-1]:
                break
        if not verdicts[-1]:
            return Verdict(None if None in verdicts else False, f"member {number} is not found")
        del left[len(verdicts) - 1]
    return Verdict(True, "same members")


_MOST_MEMBERS = 64


def _tuples(gold: Items, answer: Items, judged: Judged) -> Verdict:
    if (gold.left, gold.right) != (answer.left, answer.right):
        return Verdict(False, "different brackets")
    return each(zip(gold.members, answer.members, strict=True), judged)


def each(pairs: Iterable[tuple[str, str]], judged: Judged) -> Verdict:
    undecided: Verdict | None = None
    for number, pair in enumerate(pairs, start=1):
        verdict = judged(*pair)
        if verdict.right is False:
            return Verdict(False, f"different at {number}")
        undecided = undecided or (verdict if verdict.right is None else None)
    return undecided or Verdict(True, "same members")

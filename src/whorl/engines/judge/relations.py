"""Equations, inequalities and congruences."""

from whorl.answer import Verdict
from whorl.engines.judge.same import (
    cleared,
    difference,
    free,
    is_variable,
    multiple_is_positive,
    proportional,
    same,
)
from whorl.engines.judge.terms import Apply, Term
from whorl.engines.judge.values import exact


def same_relation(one: Apply, other: Apply) -> Verdict:
    """Whether two relations say the same, as far as sides and constant factors show it."""
    if "mod" in (one.head, other.head):
        return _congruences(one, other)
    if "chain" in (one.head, other.head):
        return _chains(one, other)
    sides = _side_by_side(one, other)
    if sides.right or one.head not in _ZEROED or other.head not in _ZEROED:
        return sides
    left, right = _zeroed(one), _zeroed(other)
    if left[0] != right[0]:
        return Verdict(False, "different relations")
    if not free(left[1]) and not free(right[1]):
        return sides
    return _same_zeros(left[0], left[1], right[1])


_ZEROED = ("=", "!=", "<", "<=", ">", ">=")


def _zeroed(relation: Apply) -> tuple[str, Term]:
    """A relation as a term against 0, with no sign but =, !=, < and <=."""
    left, right = relation.parts
    if relation.head in (">", ">="):
        return relation.head.replace(">", "<"), difference(right, left)
    return relation.head, difference(left, right)


def _same_zeros(sign: str, one: Term, other: Term) -> Verdict:
    found = proportional(one, other)
    if found and sign in ("<", "<="):
        found = multiple_is_positive(one, other)
    if not found and sign in ("=", "!="):
        clear = cleared(one), cleared(other)
        if clear != (one, other):
            found = proportional(*clear)
    reason = {
        True: "a multiple of the other",
        False: "no multiple of the other",
        None: "no relation that is compared",
    }
    return Verdict(found, reason[found])


def _side_by_side(one: Apply, other: Apply) -> Verdict:
    """Equations whose sides are the same; without a variable nothing else is."""
    if one.head != other.head:
        return Verdict(None, "different relations")
    verdicts = [same(*pair).right for pair in zip(one.parts, other.parts, strict=True)]
    if all(verdicts):
        return Verdict(True, "same sides")
    if one.head in ("=", "!=", "~"):
        crossed = [same(*pair).right for pair in zip(one.parts, other.parts[::-1], strict=True)]
        if all(crossed):
            return Verdict(True, "same sides")
    if verdicts[0] and verdicts[1] is False:
        return Verdict(False, "different right sides")
    return Verdict(None, "different sides")


def _chains(one: Apply, other: Apply) -> Verdict:
    if one.head != other.head or len(one.parts) != len(other.parts):
        return Verdict(None, "chains of different length")
    verdicts = [
        same_relation(mine, theirs).right
        for mine, theirs in zip(one.parts, other.parts, strict=True)
        if isinstance(mine, Apply) and isinstance(theirs, Apply)
    ]
    if all(verdicts):
        return Verdict(True, "same relations")
    return Verdict(False if False in verdicts else None, "different relations")


def _congruences(one: Apply, other: Apply) -> Verdict:
    """`x = 3 mod 7` is `x = 10 mod 7`, and `3 mod 7` says so of what is asked for."""
    if one.head != other.head:
        return Verdict(None, "a congruence and something else")
    moduli = exact(one.parts[-1]), exact(other.parts[-1])
    if None in moduli:
        return Verdict(None, "a modulus that is no number")
    subjects = [part.parts[0] if len(part.parts) == 3 else None for part in (one, other)]
    if (
        all(subject is not None and is_variable(subject) for subject in subjects)
        and subjects[0] != subjects[1]
    ):
        return Verdict(None, "different variables")
    residues = exact(one.parts[-2]), exact(other.parts[-2])
    if residues[0] is None or residues[1] is None:
        return Verdict(None, "a residue that is no number")
    assert moduli[0] is not None and moduli[1] is not None
    if abs(moduli[0]) != abs(moduli[1]) or moduli[0] == 0:
        return Verdict(False, "different moduli")
    apart = (residues[0] - residues[1]) / moduli[0]
    same_class = apart.denominator == 1
    return Verdict(same_class, "same residue" if same_class else "different residues")

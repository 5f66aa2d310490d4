"""Two terms compared by what they are: sets, matrices, tuples, relations, values."""

from collections.abc import Sequence
from fractions import Fraction

from whorl.answer import FLOAT_NOISE, FLOAT_PLACES, Conventions, Verdict
from whorl.engines.judge.matrices import Rows, determinant, rows
from whorl.engines.judge.readings import readings
from whorl.engines.judge.relations import same_relation
from whorl.engines.judge.same import agree, free, near, order, same
from whorl.engines.judge.sets import NotASet, has_sets, is_relation, same_set, variables
from whorl.engines.judge.terms import (
    INFINITY,
    Apply,
    Number,
    Symbol,
    Term,
    Unreadable,
    heads,
    rewritten,
    symbols,
)
from whorl.engines.judge.values import exact

_BRACKETS = ("()", "[]", "(]", "[)", "{}")
_RELATIONS = ("=", "<", ">", "<=", ">=", "!=", "~", r"\in", r"\notin", r"\equiv", "chain", "mod")


def same_terms(one: Term, other: Term, rules: Conventions) -> Verdict:
    """Whether two terms say the same; raises `Unreadable`."""
    if one == other:
        return Verdict(True, "same expression")
    verdicts = [_compared(*pair, rules) for pair in readings(one, other)]
    if len({verdict.right for verdict in verdicts}) > 1:
        return Verdict(None, "a product by one reading alone")
    return verdicts[0]


def _compared(one: Term, other: Term, rules: Conventions) -> Verdict:
    """The verdict on two terms of which each part is read in one way."""
    if one == other:
        return Verdict(True, "same expression")
    one, other = _without_imaginary(one, other)
    if has_sets(one) or has_sets(other):
        found = _sets(one, other, rules)
        if found is not None:
            return found
    if (left := _worked_out(one)) is not None:
        one = left
    if (right := _worked_out(other)) is not None:
        other = right
    if "matrix" in heads(one) | heads(other):
        return _matrices(_determined(one), _determined(other), rules)
    if _is_bracket(one) or _is_bracket(other):
        return _brackets(one, other, rules)
    relations = [isinstance(side, Apply) and side.head in _RELATIONS for side in (one, other)]
    if all(relations):
        assert isinstance(one, Apply) and isinstance(other, Apply)
        return same_relation(one, other)
    if any(relations) or is_relation(one) or is_relation(other):
        return Verdict(None, "a relation and a value")
    return _values(one, other, rules)


def _without_imaginary(one: Term, other: Term) -> tuple[Term, Term]:
    """`i` is the imaginary unit, unless it is one of the unit vectors i, j, k, or an index."""
    names = symbols(one) | symbols(other)
    if "i" in names and ("j" in names or any(name.endswith("_i") for name in names)):
        index: dict[Term, Term] = {Symbol("i"): Symbol("i, no imaginary")}
        return rewritten(one, index), rewritten(other, index)
    return one, other


def _worked_out(term: Term) -> Term | None:
    """The last side of `2 \\cdot 3 = 6`, which is true and has no variable."""
    match term:
        case Apply("=", (left, right)):
            if not free(left) | free(right) and agree(left, right, {}).right:
                return right
    return None


# Sets


def _sets(one: Term, other: Term, rules: Conventions) -> Verdict | None:
    relations = is_relation(one), is_relation(other)
    if rules.intervals == "written" and relations[0] != relations[1]:
        return Verdict(False, "a relation and an interval")
    if all(relations) and variables(one) != variables(other):
        return None
    try:
        equal = same_set(one, other)
        return Verdict(equal, "same set" if equal else "different sets")
    except NotASet as reason:
        if all(relations):
            return None
        structure = _same_structure(one, other, rules)
        return structure if structure is not None else Verdict(None, str(reason))


def _same_structure(one: Term, other: Term, rules: Conventions) -> Verdict | None:
    """Sets whose ends are no numbers, `(a, b]`, are compared end by end."""
    match one, other:
        case Apply(head, mine), Apply(theirs, others):
            if head == theirs and len(mine) == len(others) and head not in ("chain", "builder"):
                return _each(mine, others, rules)
    return None


# Brackets and matrices


def _is_bracket(term: Term) -> bool:
    return isinstance(term, Apply) and term.head in _BRACKETS


def _brackets(one: Term, other: Term, rules: Conventions) -> Verdict:
    match one, other:
        case (Apply("{}", (Apply("{}"),)), _) | (_, Apply("{}", (Apply("{}"),))):
            return Verdict(None, "a set of sets")
        case Apply("{}", (alone,)), _ if not _is_bracket(other):
            return same_terms(alone, other, rules)
        case _, Apply("{}", (alone,)) if not _is_bracket(one):
            return same_terms(one, alone, rules)
        case Apply("{}", mine), Apply("{}", others):
            return in_any_order(mine, others, rules)
        case Apply(head, mine), Apply(theirs, others) if _is_bracket(one) and _is_bracket(other):
            if head != theirs or len(mine) != len(others):
                return Verdict(False, "different brackets or lengths")
            return _each(mine, others, rules)
    return Verdict(None, "brackets and a value")


def _each(mine: Sequence[Term], others: Sequence[Term], rules: Conventions) -> Verdict:
    undecided: Verdict | None = None
    for number, pair in enumerate(zip(mine, others, strict=True), start=1):
        verdict = same_terms(*pair, rules)
        if verdict.right is False:
            return Verdict(False, f"different at {number}")
        undecided = undecided or (verdict if verdict.right is None else None)
    return undecided or Verdict(True, "same members")


def in_any_order(mine: Sequence[Term], others: Sequence[Term], rules: Conventions) -> Verdict:
    left = list(others)
    if len(mine) != len(left):
        return Verdict(False, "different number of members")
    for number, member in enumerate(mine, start=1):
        verdicts = [same_terms(member, rival, rules).right for rival in left]
        if True not in verdicts:
            return Verdict(None if None in verdicts else False, f"member {number} is not found")
        del left[verdicts.index(True)]
    return Verdict(True, "same members")


def _determined(term: Term) -> Term:
    """With determinants worked out."""
    if not isinstance(term, Apply):
        return term
    if term.head == "det":
        matrix = rows(term.parts[0])
        if matrix is None:
            raise Unreadable("the determinant of no matrix")
        return determinant(matrix)
    return Apply(term.head, tuple(map(_determined, term.parts)))


def _matrices(one: Term, other: Term, rules: Conventions) -> Verdict:
    left, right = rows(one), rows(other)
    if left is None and right is None:
        return same_terms(one, other, rules)
    if left is not None and right is not None:
        if [len(row) for row in left] != [len(row) for row in right]:
            return Verdict(False, "matrices of different size")
        return _each(_entries(left), _entries(right), rules)
    if rules.vectors == "tuples":
        vectors = [_vector(side) for side in (one, other)]
        if vectors[0] is not None and vectors[1] is not None:
            if len(vectors[0]) != len(vectors[1]):
                return Verdict(False, "different lengths")
            return _each(vectors[0], vectors[1], rules)
    return Verdict(None, "a matrix and something else")


def _entries(matrix: Rows) -> list[Term]:
    return [entry for row in matrix for entry in row]


def _vector(term: Term) -> Sequence[Term] | None:
    if isinstance(term, Apply) and term.head == "()":
        return term.parts
    matrix = rows(term)
    if matrix is None or (len(matrix) > 1 and len(matrix[0]) > 1):
        return None
    return _entries(matrix)


# Values


def _values(one: Term, other: Term, rules: Conventions) -> Verdict:
    endless = [_infinite(side) for side in (one, other)]
    if any(endless):
        if all(endless):
            same_end = endless[0] == endless[1]
            return Verdict(same_end, "same infinity" if same_end else "different infinities")
        if INFINITY in (one, other) or Apply("neg", (INFINITY,)) in (one, other):
            return Verdict(False, "infinity and a value")
    if _has_infinity(one) or _has_infinity(other):
        raise Unreadable("infinity within an expression")
    for decimal, value in ((one, other), (other, one)):
        places = _places(decimal)
        if places >= rules.places and rules.tolerance and _stands_for(decimal, value, rules):
            return Verdict(True, "within tolerance")
    verdict = same(one, other)
    if verdict.right is False and INFINITY.name in symbols(one) | symbols(other):
        return Verdict(None, "a sum without end")  # of which parts are compared, not the limit
    return verdict


def _has_infinity(term: Term) -> bool:
    """Infinity elsewhere than as the bound of a sum, which is sampled like any other bound: sums
    to any bound that are the same are so to infinity."""
    match term:
        case Apply("sum" | "prod", (_, low, high, inner)):
            return (
                _has_infinity(low)
                or _has_infinity(inner)
                or (high != INFINITY and _has_infinity(high))
            )
        case Apply(_, parts):
            return any(map(_has_infinity, parts))
    return term == INFINITY


def _infinite(term: Term) -> int:
    return (term == INFINITY) - (term == Apply("neg", (INFINITY,)))


def _stands_for(decimal: Term, value: Term, rules: Conventions) -> bool:
    """Whether a decimal is an approximation of a value, rounded at its last place."""
    if not near(decimal, value, rules.tolerance):
        return False
    if not rules.rounds_only:
        return True
    if exact(value) is not None:
        noisy = _places(decimal) >= FLOAT_PLACES
        return noisy and bool(near(decimal, value, float(FLOAT_NOISE)))
    unit = Number(Fraction(1, 10 ** _places(decimal)))
    above = Apply("+", (decimal, unit))
    below = Apply("+", (decimal, Apply("neg", (unit,))))
    return _scaled(decimal) or (order(below, value), order(value, above)) == (-1, -1)


def _scaled(decimal: Term) -> bool:
    """Whether a power of ten says where the last place of a decimal is."""
    return isinstance(decimal, Apply) and decimal.head == "*"


def _places(term: Term) -> int:
    """Places of a number written as a decimal, perhaps with a power of ten; 0 of anything else."""
    match term:
        case Number(_, places):
            return places
        case Apply("neg", (inner,)):
            return _places(inner)
        case Apply("*", (Number(_, places), Apply("^", (Number(ten), _)))) if ten == 10:
            return places
    return 0

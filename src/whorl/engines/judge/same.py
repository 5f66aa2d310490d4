"""Whether two terms have the same value: at once if they are constant, else at random points.

Two functions are the same if their values agree at points of all signs; where one of them is real
and the other is not, and their complex values differ, nothing is decided. Random rational points
stand for all: two formulas of this size that differ do not meet at each of them.
"""

from fractions import Fraction
from itertools import chain, count
from typing import Any

from flint import acb, arb

from whorl.answer import Verdict
from whorl.engines.judge.points import ROUNDED, edges, is_by_cases, points
from whorl.engines.judge.terms import Apply, Number, Symbol, Term, heads, rewritten
from whorl.engines.judge.values import CONSTANTS, Balls, Point, Undefined, Unrounded, exact

_FIRST_BITS = 128
_MOST_BITS = 40_000
_ENOUGH = 4  # points at which two functions must agree
ZERO = Number(Fraction(0))


def difference(one: Term, other: Term) -> Term:
    return Apply("+", (one, Apply("neg", (other,))))


def same(one: Term, other: Term) -> Verdict:
    """Whether two terms are the same value or the same function of their variables."""
    if one == other:
        return Verdict(True, "same expression")
    one, other = named_apart(one, other)
    names = sorted(free(one) | free(other))
    if not names:
        verdict = agree(one, other, {}).right
        reason = {True: "same value", False: "different values", None: "no value to compare"}
        return Verdict(verdict, reason[verdict])
    return _same_function(one, other, names)


def _same_function(one: Term, other: Term, names: list[str]) -> Verdict:
    whole = frozenset(integers(one) | integers(other))
    real, complex_, unknown = 0, 0, ""
    rounded, by_cases = bool(ROUNDED & (heads(one) | heads(other))), is_by_cases(one)
    by_cases = by_cases or is_by_cases(other)
    if rounded and _same_unrounded(one, other):
        return Verdict(True, "same function of what is rounded")
    special = edges(names, whole, (one, other)) if by_cases else ()
    for point in chain(points(names, whole), special):
        found = agree(one, other, point)
        if found.right is None:
            if rounded and found.unrounded:
                unknown = "rounding that cannot be worked out"
            continue
        integral = all(value.denominator == 1 for value in point.values())
        if found.right:
            real += found.real == 2
            complex_ += found.real == 0
        elif rounded and not integral:
            unknown = "not the same between integers"
        elif found.real == 2 or (found.real == 0 and min(point.values()) > 0):
            return Verdict(False, "different functions")
        else:
            unknown = "not the same wherever either has a value"
        if real >= _ENOUGH and complex_ + real >= 9 and not by_cases:
            break
    if unknown:
        return Verdict(None, unknown)
    if real >= _ENOUGH or complex_ >= _ENOUGH:
        return Verdict(True, "same function, at random points")
    return Verdict(None, "too few values to compare")


def _same_unrounded(one: Term, other: Term) -> bool:
    """Whether two terms are the same with a variable for each value that is rounded in them."""
    renames: dict[Term, Term] = {}
    waiting = [one, other]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Apply):
            if part.head in ROUNDED:
                renames.setdefault(part, Symbol(f"rounded {len(renames)}"))
            else:
                waiting += part.parts
    return same(rewritten(one, renames), rewritten(other, renames)).right is True


class Agreement:
    """Whether two values agree (None: not known), how many of them are real, and whether it is
    not known because one lies too close to an integer to be rounded."""

    __slots__ = ("real", "right", "unrounded")

    def __init__(self, right: bool | None, real: int = 2, *, unrounded: bool = False) -> None:
        self.right = right
        self.real = real
        self.unrounded = unrounded


def agree(one: Term, other: Term, point: Point) -> Agreement:
    """Whether two terms have the same value at a point."""
    left, right = exact(one, point), exact(other, point)
    if left is not None and right is not None:
        return Agreement(left == right)
    real = [has_value(side, point, arb) for side in (one, other)]
    kind = arb if all(real) else acb
    bits, needed = _FIRST_BITS, 0.0
    while bits <= _MOST_BITS:
        balls = Balls(bits, kind)
        try:
            left_value, right_value = balls.value(one, point), balls.value(other, point)
        except Undefined as reason:
            if bits > 8 * _FIRST_BITS:
                return Agreement(None, unrounded=isinstance(reason, Unrounded))
            bits *= 4
            continue
        apart = left_value - right_value
        if not apart.contains(0):
            return Agreement(False, sum(real))
        needed = needed or 256 + 6 * balls.load
        if bits >= needed and _negligible(apart, int(bits / 2)):
            return Agreement(True, sum(real))
        bits = max(bits * 2, int(needed) + 64) if bits < needed else bits * 2
    return Agreement(None)


def has_value(term: Term, point: Point, kind: type) -> bool:
    try:
        Balls(_FIRST_BITS, kind).value(term, point)
    except Undefined:
        return False
    return True


def _negligible(apart: Any, bits: int) -> bool:
    return bool(apart.abs_upper() < arb(2) ** -bits)


def near(one: Term, other: Term, tolerance: float) -> bool | None:
    """Whether two real constants differ by no more than a share of the larger; None: not known."""
    try:
        balls = Balls(256, arb)
        left, right = balls.value(one, {}), balls.value(other, {})
    except Undefined:
        return None
    apart, size = abs(left - right), max(abs(left), abs(right), key=lambda ball: ball.mid())
    bound = size * arb(tolerance)
    return True if apart <= bound else False if apart > bound else None


def order(one: Term, other: Term) -> int | None:
    """-1, 0 or 1 as one real constant is below, at or above another; None: not known."""
    found = agree(one, other, {})
    if found.right:
        return 0
    try:
        balls = Balls(4 * _FIRST_BITS, arb)
        left, right = balls.value(one, {}), balls.value(other, {})
    except Undefined:
        return None
    return -1 if left < right else 1 if left > right else None


# Equations


def proportional(one: Term, other: Term) -> bool | None:
    """Whether `one = 0` says the same as `other = 0`: one is a constant multiple of the other."""
    renames: dict[Term, Term] = {
        Symbol(name): Symbol(f"{name} elsewhere") for name in free(one) | free(other)
    }
    if not renames or same(one, ZERO).right is not False or same(other, ZERO).right is not False:
        return None
    one, other = named_apart(one, other)
    renames = {Symbol(name): Symbol(f"{name} elsewhere") for name in free(one) | free(other)}
    there = rewritten(one, renames), rewritten(other, renames)
    if any(same(*pair).right is not False for pair in zip((one, other), there, strict=True)):
        return None  # a constant, perhaps, which is nowhere 0
    return same(Apply("*", (one, there[1])), Apply("*", (there[0], other))).right


def multiple_is_positive(one: Term, other: Term) -> bool | None:
    """Of two terms of which one is a multiple of the other: whether it is a positive one."""
    one, other = named_apart(one, other)
    names = sorted(free(one) | free(other))
    for point in points(names, frozenset(integers(one) | integers(other))):
        try:
            balls = Balls(_FIRST_BITS, arb)
            product = balls.value(one, point) * balls.value(other, point)
        except Undefined:
            continue
        if not product.contains(0):
            return bool(product > 0)
    return None


def cleared(term: Term) -> Term:
    """What an equation `term = 0` says without its denominators."""
    return _over(term)[0]


def _over(term: Term) -> tuple[Term, Term]:
    """Numerator and denominator, as far as sums, products and quotients go."""
    one = Number(Fraction(1))
    match term:
        case Apply("/", (above, below)) if free(below):
            (a, b), (c, d) = _over(above), _over(below)
            return Apply("*", (a, d)), Apply("*", (b, c))
        case Apply("neg", (inner,)):
            a, b = _over(inner)
            return Apply("neg", (a,)), b
        case Apply("*", (left, right)):
            (a, b), (c, d) = _over(left), _over(right)
            return Apply("*", (a, c)), _times(b, d)
        case Apply("+", (left, right)):
            (a, b), (c, d) = _over(left), _over(right)
            if b == d:
                return Apply("+", (a, c)), b
            return Apply("+", (_times(a, d), _times(c, b))), _times(b, d)
    return term, one


def _times(one: Term, other: Term) -> Term:
    if isinstance(one, Number) and one.value == 1:
        return other
    if isinstance(other, Number) and other.value == 1:
        return one
    return Apply("*", (one, other))


# Variables


def free(term: Term) -> frozenset[str]:
    """The variables of a term; the index of a sum is none."""
    match term:
        case Symbol(name):
            return frozenset() if name in CONSTANTS else frozenset([name])
        case Apply("sum" | "prod", (Symbol(index), low, high, inner)):
            return free(low) | free(high) | (free(inner) - {index})
        case Apply(_, parts):
            return frozenset().union(*map(free, parts))
    return frozenset()


def integers(term: Term) -> set[str]:
    """Variables that stand where only integers do: under a factorial, as the bound of a sum."""
    found: set[str] = set()
    waiting = [term]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Apply):
            if part.head in ("!", "binom", "gcd", "lcm"):
                found |= free(part)
            elif part.head in ("sum", "prod"):
                found |= free(part.parts[1]) | free(part.parts[2])
            waiting.extend(part.parts)
    return found


def named_apart(one: Term, other: Term) -> tuple[Term, Term]:
    """Both terms with a symbol in place of each value of a function that is only named, and of
    what else is only equal to itself."""
    names: dict[Term, Symbol] = {}
    numbers = count(1)

    def renamed(term: Term) -> Term:
        if not isinstance(term, Apply):
            return term
        if term.head == "call":
            if term not in names:
                known = (names[call] for call in names if _same_call(call, term))
                names[term] = next(known, None) or Symbol(f"call {next(numbers)}")
            return names[term]
        return Apply(term.head, tuple(map(renamed, term.parts)))

    return renamed(one), renamed(other)


def _same_call(one: Term, other: Term) -> bool:
    """Whether a function is named with the same arguments, however they are written."""
    assert isinstance(one, Apply) and isinstance(other, Apply)
    if one.parts[0] != other.parts[0] or len(one.parts) != len(other.parts):
        return False
    return all(same(*pair).right for pair in zip(one.parts[1:], other.parts[1:], strict=True))


def is_variable(term: Term) -> bool:
    """A lone variable, or the value of a function that is only named."""
    match term:
        case Symbol(name):
            return name not in CONSTANTS and name != r"\infty"
        case Apply("call", _):
            return True
    return False

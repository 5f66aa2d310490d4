"""What can be read in two ways: a letter before a bracket is a factor, or a function.

The reader leaves both open. Two terms are the same only if they are so by either reading: `E(X^2)`
is no `E(X)^2`, though it were if E was a factor. Products of capital letters, which may be matrices
or points, are read in two ways as well: as they stand, and in any order.
"""

from whorl.engines.judge.terms import Apply, Symbol, Term, Unreadable, heads, rewritten, symbols
from whorl.engines.judge.values import CONSTANTS

HOLE = Symbol("what is read in two ways")
"""Where a factor, or a function's value, stands in what is around it."""

_OPEN = frozenset(["of", "cross", "either"])


def of(before: Term, factor: Term, bracket: Term, after: Term, head: str = "of") -> Term:
    """A factor and a bracket next to it, or a function and its argument.

    before: what the factor is multiplied with, with a `HOLE` for it; after: what is done to the
    bracket, as in `f(x)^2`, with a `HOLE` for it. head: `cross` for two vectors, perhaps, with a
    sign between them that may not be that of a product of numbers.
    """
    return Apply(head, (before, factor, bracket, after))


def is_letter(term: Term) -> bool:
    """Whether a term is a letter, perhaps with an index or an accent, and no constant."""
    return isinstance(term, Symbol) and term.name not in (*CONSTANTS, r"\infty")


def is_function(term: Term) -> bool:
    """Whether a factor may be a function: a letter, or `f^{-1}`, `f^2`, `f^{(2)}`."""
    return is_letter(_base(term)) or (isinstance(term, Apply) and term.head == "either")


def is_differential(term: Term) -> bool:
    """`d`, `dx`, `d^2y`, `dx^2`: a part of a derivative, perhaps."""
    while isinstance(term, Apply) and term.head in ("*", "^"):
        term = term.parts[0]
    return term == Symbol("d")


def readings(one: Term, other: Term) -> list[tuple[Term, Term]]:
    """Both terms as products, and, where that says something else, with functions in them and
    factors that do not commute."""
    found = heads(one) | heads(other)
    plain = (_product(one), _product(other)) if found & _OPEN else (one, other)
    variables = _alone(one) | _alone(other)
    called = tuple(_in_order(_called(term, variables)) for term in (one, other))
    return [plain] if called == plain else [plain, (called[0], called[1])]


def _product(term: Term) -> Term:
    """The term with every letter before a bracket as a factor."""
    if not isinstance(term, Apply):
        return term
    parts = tuple(map(_product, term.parts))
    if term.head == "either":
        return parts[0]
    if term.head not in _OPEN:
        return Apply(term.head, parts)
    before, factor, bracket, after = parts
    left = rewritten(before, {HOLE: factor})
    return Apply("*", (left, rewritten(after, {HOLE: bracket})))


def _called(term: Term, variables: frozenset[str]) -> Term:
    """The term with every letter before a bracket as a function, unless it is surely none."""
    if not isinstance(term, Apply):
        return term
    parts = tuple(_called(part, variables) for part in term.parts)
    if term.head == "either":
        return parts[1]
    if term.head not in _OPEN:
        return Apply(term.head, parts)
    before, factor, bracket, after = parts
    a_sum = isinstance(bracket, Apply) and bracket.head == "+"
    if term.head == "of" and a_sum and symbols(term.parts[1]) <= variables:
        return _product(Apply("of", parts))
    value = rewritten(after, {HOLE: Apply("call", (factor, bracket))})
    return rewritten(before, {HOLE: value})


def _alone(term: Term) -> frozenset[str]:
    """Letters that stand elsewhere than before a bracket."""
    match term:
        case Symbol(name):
            return frozenset([name])
        case Apply("of", (before, Symbol(_), bracket, after)):
            return _alone(before) | _alone(bracket) | _alone(after)
        case Apply("of", (before, Apply("^", (Symbol(_), power)), bracket, after)):
            return _alone(before) | _alone(power) | _alone(bracket) | _alone(after)
        case Apply(_, parts):
            return frozenset().union(*map(_alone, parts))
    return frozenset()


# Factors that do not commute


def _in_order(term: Term) -> Term:
    """The term with products of capital letters, which may be matrices or points, as what they are
    in this order. Nobody divides by these nor takes their roots."""
    if not isinstance(term, Apply) or term.head in ("sqrt", "root"):
        return term
    if term.head == "/":
        return Apply("/", (_in_order(term.parts[0]), term.parts[1]))
    factors = _factors(term) if term.head == "*" else []
    if sum(map(_is_vector, factors)) > 2:
        raise Unreadable("a product of three vectors")
    ordered = [factor for factor in factors if _may_not_commute(factor)]
    kinds = {
        factor if symbols(factor) - symbols(_base(factor)) else _base(factor) for factor in ordered
    }
    if len(kinds) < 2:  # A^T is none of A
        return Apply(term.head, tuple(map(_in_order, term.parts)))
    found: Term = Apply("call", (Symbol("in order"), *ordered))
    for factor in factors:
        if factor not in ordered:
            found = Apply("*", (found, _in_order(factor)))
    return found


def _factors(term: Term) -> list[Term]:
    found: list[Term] = []
    waiting = [term]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Apply) and part.head == "*":
            waiting += part.parts[::-1]
        else:
            found.append(part)
    return found


def _base(term: Term) -> Term:
    return term.parts[0] if isinstance(term, Apply) and term.head == "^" else term


def _may_not_commute(term: Term) -> bool:
    """Whether a factor is a capital letter; `F_n` is a member of a sequence of numbers."""
    match _base(term):
        case Symbol(name):
            index = name.partition("_")[2]
            return "A" <= name[0] <= "Z" and (not index or index.isdigit())
    return False


def _is_vector(term: Term) -> bool:
    return isinstance(term, Symbol) and term.name.startswith((r"\vec", r"\overrightarrow"))

"""Sets of real numbers: intervals, finite sets, relations and what is joined of them.

Two sets are compared on a grid of all numbers that either of them names: each point of it and each
gap between two points is in a set or not, and the sets are the same if that is the same.
"""

from collections.abc import Sequence
from functools import cmp_to_key

from whorl.engines.judge.same import is_variable, order
from whorl.engines.judge.terms import INFINITY, Apply, Symbol, Term, heads

_RELATIONS = ("=", "<", ">", "<=", ">=", "!=")
_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}
_INTERVALS = ("()", "(]", "[)", "[]")
_JOINTS = (r"\cup", r"\cap", r"\setminus", r"\or", r"\and", "chain")
REALS = Symbol(r"\mathbb R")
EMPTY = Symbol(r"\emptyset")
_MOST_POINTS = 40


class NotASet(ValueError):
    """A term that is no set of reals, or none whose ends can be put in order."""


def same_set(one: Term, other: Term) -> bool:
    """Whether two terms are the same set of real numbers; raises `NotASet`."""
    grid = _Grid(_ends(one) + _ends(other))
    cells = [grid.cells(side) for side in (one, other)]
    for side, found in zip((one, other), cells, strict=True):
        if not any(found) and side not in (EMPTY, Apply("{}", ())):
            raise NotASet("nothing satisfies all of it")  # said of a list, `x = 1 and x = -1`
    return cells[0] == cells[1]


def joined(relations: Sequence[Term]) -> Term:
    """What several relations in a row say: all of them, or, if nothing satisfies all, any of them.
    Raises `NotASet` if both readings say something."""
    all_of, any_of = relations[0], relations[0]
    for relation in relations[1:]:
        all_of = Apply(r"\and", (all_of, relation))
        any_of = Apply(r"\or", (any_of, relation))
    cells = _Grid(_ends(all_of))
    if not any(cells.cells(all_of)):
        return any_of
    if all(cells.cells(any_of)):
        return all_of
    raise NotASet("neither all nor any of the relations")


def is_set(term: Term) -> bool:
    """Whether a term can be nothing but a set, unlike `(1, 2)`, which may be a point."""
    match term:
        case Apply("[]", parts):
            return len(parts) == 2
        case Apply(head, _):
            return head in ("(]", "[)", "builder", *_JOINTS[:3]) or is_relation(term)
        case Symbol(name):
            return name.startswith((r"\mathbb", r"\emptyset"))
    return False


def is_relation(term: Term) -> bool:
    """Whether a term says something of a variable that is not a plain equation."""
    match term:
        case Apply(r"\or" | r"\and" | r"\in" | r"\notin", _):
            return True
        case Apply("chain", parts):
            return any(isinstance(part, Apply) and part.head != "=" for part in parts)
        case Apply(head, _):
            return head in _RELATIONS[1:]
    return False


def variables(term: Term) -> frozenset[Term]:
    """What relations in a term are about."""
    match term:
        case Apply(head, (left, right)) if head in (*_RELATIONS, r"\in", r"\notin"):
            sides = [left] if head in (r"\in", r"\notin") else [left, right]
            return frozenset(side for side in sides if is_variable(side))
        case Apply(head, parts) if head in _JOINTS:
            return frozenset().union(*map(variables, parts))
    return frozenset()


def _ends(term: Term) -> list[Term]:
    """The numbers that a set is described with."""
    match term:
        case Symbol(name) if term in (REALS, EMPTY) or name == r"\varnothing":
            return []
        case Apply(head, parts) if head in _INTERVALS and len(parts) == 2:
            return [part for part in parts if not _endless(part)]
        case Apply("{}", parts):
            return list(parts)
        case Apply("builder", (subject, condition)):
            if subject != (about := _subject(condition)) and about is not None:
                match subject:
                    case Apply(r"\in", (variable, within)) if variable == about:
                        return _ends(condition) + _ends(within)
                raise NotASet("a set of something else")
            return _ends(condition)
        case Apply(r"\in" | r"\notin", (subject, within)) if is_variable(subject):
            return _ends(within)
        case Apply(head, parts) if head in _JOINTS:
            if len(variables(term)) > 1:
                raise NotASet("more than one variable")
            return [end for part in parts for end in _ends(part)]
        case Apply(head, parts) if head in _RELATIONS:
            _, bound, _ = _bound(term)
            return [] if _endless(bound) else [bound]
    raise NotASet("no set of reals")


def _subject(condition: Term) -> Term | None:
    found = variables(condition)
    return next(iter(found)) if len(found) == 1 else None


def _endless(term: Term) -> bool:
    return term == INFINITY or term == Apply("neg", (INFINITY,))


def _bound(term: Apply) -> tuple[str, Term, Term]:
    """A relation of a variable and a constant, the variable first: its sign, constant, variable."""
    left, right = term.parts
    if is_variable(left) and not is_variable(right):
        return term.head, right, left
    if is_variable(right) and not is_variable(left):
        return _MIRRORED[term.head], left, right
    raise NotASet("no relation of a variable and a number")


class _Grid:
    """Numbers in order. Cell 2k + 1 is the k-th of them, cell 2k the gap before it."""

    def __init__(self, ends: list[Term]) -> None:
        if len(ends) > _MOST_POINTS:
            raise NotASet("too many ends")
        self._points: list[Term] = []
        for end in sorted(ends, key=cmp_to_key(_order)):
            if not self._points or _order(self._points[-1], end):
                self._points.append(end)
        self._size = 2 * len(self._points) + 1

    def cells(self, term: Term) -> list[bool]:
        match term:
            case Symbol(_):
                return [term == REALS] * self._size
            case Apply(head, (low, high)) if head in _INTERVALS:
                return self._interval(low, head[0] == "[", high, head[1] == "]")
            case Apply("{}", parts):
                places = {2 * self._place(part) + 1 for part in parts}
                return [cell in places for cell in range(self._size)]
            case Apply("builder", (Apply(r"\in", (_, within)), condition)):
                return self._both(within, condition)
            case Apply("builder", (_, condition)):
                return self.cells(condition)
            case Apply(r"\in", (_, within)):
                return self.cells(within)
            case Apply(r"\notin", (_, without)):
                return [not cell for cell in self.cells(without)]
            case Apply(head, parts) if head in _JOINTS:
                return self._joined(head, [self.cells(part) for part in parts])
            case Apply(_, _):
                return self._relation(term)
        raise NotASet("no set of reals")

    def _joined(self, head: str, found: list[list[bool]]) -> list[bool]:
        columns = zip(*found, strict=True)
        if head in (r"\cup", r"\or"):
            return [any(column) for column in columns]
        if head == r"\setminus":
            return [column[0] and not any(column[1:]) for column in columns]
        return [all(column) for column in columns]

    def _both(self, one: Term, other: Term) -> list[bool]:
        return [a and b for a, b in zip(self.cells(one), self.cells(other), strict=True)]

    def _relation(self, term: Apply) -> list[bool]:
        sign, bound, _ = _bound(term)
        below, above = Apply("neg", (INFINITY,)), INFINITY
        if sign in ("<", "<="):
            return self._interval(below, False, bound, sign == "<=")
        if sign in (">", ">="):
            return self._interval(bound, sign == ">=", above, False)
        at = 2 * self._place(bound) + 1
        return [(cell == at) == (sign == "=") for cell in range(self._size)]

    def _interval(self, low: Term, closed: bool, high: Term, closed_above: bool) -> list[bool]:
        if low == INFINITY or high == Apply("neg", (INFINITY,)):
            raise NotASet("an interval from infinity")
        if (_endless(low) and closed) or (_endless(high) and closed_above):
            raise NotASet("infinity is in no interval")
        first = 0 if _endless(low) else 2 * self._place(low) + (1 if closed else 2)
        last = self._size if _endless(high) else 2 * self._place(high) + (1 if closed_above else 0)
        if first > last:
            raise NotASet("an interval whose ends are the wrong way round")
        return [first <= cell <= last for cell in range(self._size)]

    def _place(self, end: Term) -> int:
        for place, point in enumerate(self._points):
            if _order(point, end) == 0:
                return place
        raise NotASet("no end of either set")


def _order(one: Term, other: Term) -> int:
    found = order(one, other)
    if found is None:
        raise NotASet("ends that cannot be put in order")
    return found


def has_sets(term: Term) -> bool:
    return is_set(term) or bool(heads(term) & set(_JOINTS[:3]))

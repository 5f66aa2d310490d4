"""Terms: what an answer in LaTeX says, as a tree of numbers, symbols and their applications."""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Number:
    """A rational number. places: decimals it was written with; it may be an approximation then."""

    value: Fraction
    places: int = 0


@dataclass(frozen=True, slots=True)
class Symbol:
    """A variable or constant by its name, `x`, `x_1` or `\\pi`."""

    name: str


@dataclass(frozen=True, slots=True)
class Apply:
    """An operation or function on its arguments.

    head: `+`, `*`, `/`, `^`, `neg`, `pm`, `mp`, `sqrt`, `!`, a function's name, `call` for a
        function that is only named, `matrix` (of `row`), `{}` and `()` for sets and tuples, `[)`
        and the like for intervals, `\\cup`, `\\cap`, `\\setminus`, `builder`, `mod`, or a
        relation's sign.
    """

    head: str
    parts: tuple["Term", ...]


Term = Number | Symbol | Apply

I = Symbol("i")  # noqa: E741 (its name in mathematics)
INFINITY = Symbol(r"\infty")


class Unreadable(ValueError):
    """A text that is no mathematics, or of a kind that is not read; says why."""


def symbols(term: Term) -> frozenset[str]:
    """Names of all symbols in a term, constants included."""
    found: set[str] = set()
    waiting = [term]
    while waiting:
        match waiting.pop():
            case Symbol(name):
                found.add(name)
            case Apply(_, parts):
                waiting.extend(parts)
            case Number():
                pass
    return frozenset(found)


def heads(term: Term) -> frozenset[str]:
    """Heads of all that is applied in a term."""
    found: set[str] = set()
    waiting = [term]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Apply):
            found.add(part.head)
            waiting.extend(part.parts)
    return frozenset(found)


def rewritten(term: Term, renames: dict[Term, Term]) -> Term:
    """The term with some of its parts replaced."""
    if term in renames:
        return renames[term]
    if isinstance(term, Apply):
        return Apply(term.head, tuple(rewritten(part, renames) for part in term.parts))
    return term

"""Problems in symbols: expressions to work out, equations to solve."""

from dataclasses import dataclass

from whorl.data.draft import Draft, Unfit
from whorl.data.story import OPERATORS, Operand, Story


def expression(draft: Draft) -> Story:
    """An expression with brackets, worked out one operation at a time."""
    whole = _grow(draft, draft.length)
    question = f"Calculate {_show(whole)}."
    _reduce(draft, whole, whole)
    return draft.story("expression", [question])


@dataclass(slots=True)
class _Operation:
    """An operation in an expression: `left op right`; `step` is the one that works it out, None
    until it is written."""

    left: "_Term"
    op: str
    right: "_Term"
    step: int | None = None


_Term = int | _Operation


def _grow(draft: Draft, operations: int) -> _Term:
    """A random expression with this many operations."""
    rng = draft.rng
    if not operations:
        return draft.number(low=1)
    aside = 1 if operations > 2 and rng.random() < 0.3 else 0
    terms = [_grow(draft, operations - 1 - aside), _grow(draft, aside)]
    if rng.random() < 0.4:
        terms.reverse()
    op = rng.choice("++--**/")
    left, right = (
        draft.factor() if op in "*/" and isinstance(term, int) else term for term in terms
    )
    return _Operation(left, op, right)


def _reduce(draft: Draft, term: _Term, whole: _Term) -> Operand:
    """Write the steps that work out `term`, innermost first, left before right."""
    if isinstance(term, int):
        return term
    a = _reduce(draft, term.left, whole)
    b = _reduce(draft, term.right, whole)
    term.step = len(draft.steps)
    return draft.write("Compute ", a, term.op, b, f" to get {_show(whole)}.")


_BINDS = {"": 0, "+": 1, "-": 1, "*": 2, "/": 2}


def _show(term: _Term, parent: str = "", *, right: bool = False) -> str:
    """The expression with as few brackets as keep its structure; finished parts as `{step}`."""
    if isinstance(term, int):
        return str(term)
    if term.step is not None:
        return f"{{{term.step}}}"
    inner = f"{_show(term.left, term.op)}{term.op}{_show(term.right, term.op, right=True)}"
    loose = _BINDS[term.op] < _BINDS[parent] or (right and _BINDS[term.op] == _BINDS[parent])
    return f"({inner})" if loose else inner


def equation(draft: Draft) -> Story:
    """A linear equation in x, undone from the outside in."""
    rng = draft.rng
    amount = rng.randint(1, draft.largest_operand)
    sides, undoing = ["x"], []  # the left side after each operation on x
    previous = ""
    for _ in range(draft.length):
        op = rng.choice([o for o in "+-*/" if _KIND[o] != previous])
        previous = _KIND[op]
        k = draft.number() if previous == "sum" else draft.factor()
        if op == "/" and amount % k:
            raise Unfit
        amount = OPERATORS[op](amount, k)
        if not 1 <= amount <= draft.largest_result:
            raise Unfit
        inner = sides[-1]
        bracketed = f"({inner})" if len(sides) > 1 else inner
        sides.append(
            {
                "+": f"{inner}+{k}",
                "-": f"{inner}-{k}",
                "*": f"{k}*{bracketed}",
                "/": f"{bracketed}/{k}",
            }[op]
        )
        undoing.append((op, k))
    held: Operand = amount
    for side, (op, k) in zip(sides[-2::-1], undoing[::-1], strict=True):
        verb, inverse = _UNDO[op]
        here = f"{{{len(draft.steps)}}}"
        held = draft.write(f"{verb} {k}: ", held, inverse, k, f", so {side}={here}.")
    ask = rng.choice(("Solve {} for x.", "What is x if {}?"))
    return draft.story("equation", [ask.format(f"{sides[-1]}={amount}")])


_KIND = {"+": "sum", "-": "sum", "*": "product", "/": "product"}
_UNDO = {
    "+": ("Subtract", "-"),
    "-": ("Add", "+"),
    "*": ("Divide by", "/"),
    "/": ("Multiply by", "*"),
}

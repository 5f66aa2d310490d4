"""Countdown: an expression that makes a target of given numbers, each used exactly once.

The gold answer says what is asked for, `24 from 3 4 5 6`. The answer is an expression of whole
numbers with + - * / and brackets, in LaTeX or plain, perhaps with `= 24` behind it or `24 =` before
it. It is parsed and worked out with exact fractions, never run. Signs before a number, powers,
decimals and numbers put together, which let a wrong answer through elsewhere, are no such
expression.
"""

import ast
import operator
import re
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction

from whorl.answer.conventions import Verdict

LONGEST = 400
"""Characters of an expression at most."""

_GOLD = re.compile(r"(\d{1,9}) from (\d{1,6}(?: \d{1,6}){1,15})")
_PLAIN = re.compile(r"[0-9+\-*/() ]+")
_SPELLINGS = (
    (re.compile(r"\\(?:left|right|displaystyle)(?![a-zA-Z])|\\[,;:! ]|[$\s]"), " "),
    (re.compile(r"\\(?:times|cdot|ast)(?![a-zA-Z])|[×·∗⋅]"), "*"),
    (re.compile(r"\\div(?![a-zA-Z])|[÷∕]"), "/"),
    (re.compile(r"[−–]"), "-"),
    (re.compile(r"(?<=[0-9)\]}])\s*(?=[(\[])"), "*"),  # 3(4 + 4)
)
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_BRACKETS = str.maketrans("[]{}", "()()")
_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def gold(target: int, numbers: tuple[int, ...]) -> str:
    """The gold answer of a problem: what `check` reads."""
    return f"{target} from {' '.join(map(str, numbers))}"


def fault(gold: str) -> str:
    """The reason why a text is no gold answer of a Countdown problem; empty if it is one."""
    return (
        "" if _GOLD.fullmatch(gold) else f"the answer {gold[:40]!r} is not like '24 from 3 4 5 6'"
    )


def check(gold: str, answer: str) -> Verdict:
    """Whether an expression makes the target of the numbers. Raises `ValueError` if `gold` is
    none."""
    asked = _GOLD.fullmatch(gold)
    if asked is None:
        raise ValueError(fault(gold))
    target, numbers = int(asked[1]), Counter(map(int, asked[2].split()))
    if len(answer) > LONGEST:
        return Verdict(False, f"over {LONGEST} characters")
    expression, _, said = _spelled(answer).rstrip(". ").partition("=")
    if said and _is(target, expression):  # 24 = 8/(3 - 8/3)
        expression, said = said, expression
    if said and not _is(target, said):
        return Verdict(False, f"says that it makes {said.strip()[:20]}")
    try:
        tree = _parsed(expression)
        used = Counter(_literals(tree))
        if used != numbers:
            return Verdict(False, _other_numbers(used, numbers))
        value = _value(tree)
    except NotAnExpressionError as why:
        return Verdict(False, str(why))
    return Verdict(value == target, f"makes {value}")


def _is(target: int, said: str) -> bool:
    return re.fullmatch(rf"\s*{target}(?:\.0{{1,40}})?\s*", said) is not None


class NotAnExpressionError(ValueError):
    """A text that is no expression of whole numbers, or one without a value."""


def _spelled(text: str) -> str:
    for pattern, plain in _SPELLINGS:
        text = pattern.sub(plain, text)
    while (written := _FRACTION.sub(r"((\1)/(\2))", text)) != text:
        text = written
    return text.translate(_BRACKETS)


def _parsed(text: str) -> ast.expr:
    """The syntax tree of arithmetic; what else Python's grammar knows is kept out by the letters
    allowed before and the kinds of node after it."""
    if not _PLAIN.fullmatch(text):
        raise NotAnExpressionError("no expression of whole numbers")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise NotAnExpressionError("no expression") from None


def _literals(tree: ast.expr) -> Iterator[int]:
    """The numbers in an expression, as often as they stand there."""
    match tree:
        case ast.Constant(int(number)):
            yield number
        case ast.BinOp(left, sign, right) if type(sign) in _OPERATORS:
            yield from _literals(left)
            yield from _literals(right)
        case _:
            raise NotAnExpressionError("more than + - * / of whole numbers")


def _value(tree: ast.expr) -> Fraction:
    match tree:
        case ast.BinOp(left, sign, right):
            try:
                return _OPERATORS[type(sign)](_value(left), _value(right))  # type: ignore[no-any-return]
            except ZeroDivisionError:
                raise NotAnExpressionError("divides by zero") from None
        case ast.Constant(int(number)):
            return Fraction(number)
    raise NotAnExpressionError("no expression")


def _other_numbers(used: Counter[int], numbers: Counter[int]) -> str:
    twice, missing = used - numbers, numbers - used
    if twice:
        return f"uses {min(twice)} {'more often' if min(twice) in numbers else 'not given'}"
    return f"leaves out {min(missing)}"

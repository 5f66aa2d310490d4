"""A second way to tell whether two answers are the same, for checking the judge alone.

It shares nothing with the judge: text is turned into Python's operators and computed with mpmath,
exactly where all is rational, else as intervals at random points. It knows less than the judge and
needs to: the answers it is shown differ in one character. `explained` names a convention where one
makes two answers the same.
"""

import ast
import operator
import random
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import mpmath
from mpmath import iv

iv.dps = 250
_WORD = r"\\(?:text\w*|mbox|mathrm|operatorname)\s*\{([^{}]*)\}"
_SPOKEN = (
    r"(?<![\\a-zA-Z])[a-zA-Z]{2,}(?=\s+\$?[a-zA-Z]{2})|(?<=[a-zA-Z]{2}\s)[a-zA-Z]{2,}|[aA]ny(?= \$)"
)
_DROPPED = re.compile(
    r"\\(?:left|right|displaystyle|limits|quad|qquad|Big|big|phantom)(?![a-zA-Z])"
    r"|\\[,;:!> ]|~|\$|\\\$"
)
_STRUCTURE = re.compile(
    r"\\(?:leq?|geq?|neq?|approx|in|cup|cap|to|mid|equiv|setminus)(?![a-zA-Z])|[¶,;=<>&|:]"
)


def explained(gold: str, other: str) -> str:
    """Why two answers are the same, in a word or two; empty if there is no reason for it."""
    if len(gold) == 1 and gold.upper() == other.upper() and gold.upper() in "ABCDE":
        return "choice"
    one, two = _plain(gold), _plain(other)
    if one == two or (one.casefold() == two.casefold() and one.casefold() in ("yes", "no")):
        return "text"
    if _same(one, two):
        return "value"
    if len(_units(gold) | _units(other)) > 1:
        return ""
    one, two = _unitless(gold), _unitless(other)
    if _plain(one) == _plain(two) or _same(_plain(one), _plain(two)):
        return "unit"
    if "%" in gold + other and _same(*(_plain(text.replace("%", "")) for text in (gold, other))):
        return "percent"
    return ""


_KNOWN = frozenset(
    (
        *("m", "cm", "mm", "km", "in", "inche", "inch", "ft", "foot", "feet", "yd", "mi", "mile"),
        *("g", "kg", "mg", "lb", "oz", "s", "min", "h", "hour", "second", "minute", "day", "mph"),
        *("meter", "c", "f"),
    )
)


def _units(text: str) -> set[str]:
    """Known units in the text at the end of an answer."""
    words = re.findall(r"[a-zA-Z]+", text)
    tail = words[-1].casefold() if words else ""
    tail = tail.removesuffix("s") if len(tail) > 1 else tail
    return {tail} & _KNOWN


def _plain(text: str) -> str:
    """Without layout and blanks, words in lower case."""
    if r"\begin" not in text:
        text = re.sub(r"\\\\(?=[a-z])", r"\\", text)
    text = re.sub(r",?\\!", "", text.replace(r"\pm-", r"\pm "))
    text = re.sub(r"[-+]\s*\\pm", r"\\pm", text.replace(r"\mid", "|"))
    text = re.sub(r"\\(min|max)(?![a-zA-Z])", r"\1 ", text).replace(r"\geq", r"\ge")
    text = re.sub(r"(?<![\\a-zA-Z])(alpha|beta|theta|mu|arctan|arcsin)(?![a-zA-Z])", r"\\\1 ", text)
    text = text.replace("\\\\", "¶")  # the end of a row
    text = re.sub(_WORD, lambda word: "<" + word[1].casefold().strip() + ">", text)
    text = re.sub(r"\\(?:mathbf|boldsymbol)\s*", "", text)
    text = re.sub(r"(?<![\\a-zA-Z])[a-zA-Z]{5,}", lambda word: word[0].casefold(), text)
    text = re.sub(_SPOKEN, lambda word: word[0].casefold(), text)
    words = re.findall(r"(?<![\\a-zA-Z])[a-zA-Z]{2,}", text)
    if len(words) > 3 or (
        max(map(len, words), default=0) > 2 and re.fullmatch(r"[a-zA-Z .,]+", text)
    ):
        text = text.casefold()
    text = re.sub(r"(?<=[\d ])\.(?=\s*and )", ",", _DROPPED.sub(" ", text))
    text = text.replace(r"\dfrac", r"\frac").replace(r"\tfrac", r"\frac")
    text = re.sub(r"\^\s*(\\circ|\{\s*\\circ\s*\})|\\degree", "", text.replace(r"\cfrac", r"\frac"))
    if "(" not in text:
        text = re.sub(
            r"(?<![\d.,])\d{1,3}(?:(?:\{,\}|,)\d{3})+(?!\d)",
            lambda n: re.sub(r"\D", "", n[0]),
            text,
        )
    text = re.sub(
        r"(?<![\\a-zA-Z])(pi|sqrt|sin|cos|tan|log|ln|cot|sec|csc)(?![a-zA-Z])", r"\\\1 ", text
    )
    text = re.sub(r"(\.\d*?)0+(?=%|\\%)", r"\1", text.replace(r"\%", "%"))
    text = re.sub(r"(?<!\d)2!", "2", re.sub(r"-1(?=\\(?:sin|cos|csc|cot))", "-", text))
    text = re.sub(r"<(or|and)\+?>", r"<\1>", text)
    text = re.sub(r"(?<=[¶&])\s*0(?=-)|(?<!\d)1!", lambda zero: zero[0][:-1].strip("0 "), text)
    text = re.sub(r"(?<=\d) +or +(?=\+?[a-z] *=)", ",", text)
    text = text.replace(";", ",")  # after thousands have been put together: 325;950 is a list
    text = re.sub(r"([-+])\s*\+|\+\s*(-)", r"\1\2", text)
    text = re.sub(r"(^|[,;=({&¶/]|\\(?:pm|cup|approx)|(?<![a-zA-Z])or )\s*\+", r"\1 ", text)
    text = re.sub(r"(?<![\d.])0+(?=\d)|(?<![\d.])0(?=\\(?:frac|pm))", "", text)
    text = text.strip().rstrip(".,;").strip()
    text = re.sub(r"\\frac\s*(\w)\s*(\w)", r"\\frac{\1}{\2}", text)
    text = re.sub(r"(\\[a-zA-Z]+)\s*", r"\1 ", text)
    text = re.sub(r"(?<=\d)\s+(?=\d)", "~", text)
    text = re.sub(r"\s+", " ", text)
    return re.sub(r"(?<!\\)(?<![a-zA-Z])\s+|(?<=[^a-zA-Z])\s+|\s+(?![a-zA-Z])", "", text)


def _unitless(text: str) -> str:
    words = r"\\(?:text\w*|mbox|mathrm|operatorname)\s*\{[^{}]*\}\s*(?:\^\s*\{?\d\}?)?"
    text = re.sub(rf"(?:\s*(?:/|\\cdot)?\s*(?:{words}))+[\s.]*$", "", text.strip())
    return re.sub(r"(?<=\d)\s*[a-zA-Z][a-zA-Z /^]{2,}[\s.]*$", "", text).replace(r"\$", "")


def _same(one: str, two: str) -> bool:
    """Whether two plain texts have the same structure and, piece by piece, the same values."""
    pieces = list(_pieces(one)), list(_pieces(two))
    if [piece[0] for piece in pieces[0]] != [piece[0] for piece in pieces[1]]:
        return False
    pairs = [(a[1], b[1]) for a, b in zip(pieces[0], pieces[1], strict=True)]
    if all(a == b or _agree(a, b) for a, b in pairs):
        return True
    if any(r"\pm" in a for a, _ in pairs):  # both signs stand there either way
        return all(a == b or _agree(a, b) or _agree(a, b.replace(r"\pm", r"\mp")) for a, b in pairs)
    return _same_zeros(pieces[0], pairs)


def _agree(one: str, two: str) -> bool:
    if "<" in one + two:  # text, whose letters are not multiplied
        return False
    try:
        return _same_value(one, two)
    except (
        ValueError,
        ArithmeticError,
        LookupError,
        SyntaxError,
        TypeError,
        RecursionError,
        AttributeError,
    ):
        return False


def _same_zeros(pieces: list[tuple[str, str]], pairs: list[tuple[str, str]]) -> bool:
    """`8x = 0` is `x = 0`: in each equation that ends in 0, one side is a multiple of the other."""
    for n, (a, b) in enumerate(pairs):
        zeroed = n + 1 < len(pieces) and pieces[n + 1][0] == "=" and pairs[n + 1] == ("0", "0")
        if (
            a != b
            and not _agree(a, b)
            and not (zeroed and re.fullmatch(r"(?:-|\d+)" + re.escape(a), b))
        ):
            return False
    return True


def _pieces(text: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """(what stands before, expression) for the parts that commas, relations and brackets round
    lists separate."""
    parts, level, start, before = [], 0, 0, ""
    for sign in re.finditer(
        r"\\(?:begin|end)\s*\{\w+\}|\\[{}]|[()\[\]{}]|" + _STRUCTURE.pattern, text
    ):
        if sign[0].startswith("\\begin") or (sign[0][-1] in "([{" and sign[0] != "\\["):
            level += 1
        elif sign[0][-1] in ")]}":
            level -= 1
        elif level == 0:
            parts.append((before, text[start : sign.start()]))
            before, start = sign[0].replace(";", ",").replace("leq", "le"), sign.end()
    parts.append((before, text[start:]))
    for before, part in parts:
        bracketed = re.fullmatch(r"(\\\{|[(\[\]])(.*)(\\\}|[)\]\[])", part)
        if bracketed and depth < 3 and re.search(r"[,;:|]|\\mid", part):
            mark = (bracketed[1] + bracketed[3]).replace("](", "")
            yield before + {"][": "()", "]]": "(]", "[[": "[)"}.get(mark, mark), ""
            yield from _pieces(bracketed[2], depth + 1)
        elif "\\begin" in part and depth < 3:
            inner = re.sub(r"\\(begin|end)\s*\{\w+\}(\{[lcr]*\})?", " ", part)
            yield before + "matrix", ""
            yield from _pieces(inner.strip(), depth + 1)
        else:
            yield before, part


# Values

_FUNCTIONS = ("sin", "cos", "tan", "cot", "sec", "csc", "ln", "log", "exp", "arctan", "arcsin")
_FUNCTIONS += ("arccos", "sinh", "cosh", "tanh")
_TOKEN = re.compile(r"\d+(?:\.\d*)?|\.\d+|\\[a-zA-Z]+|\\.|[a-zA-Z]|\S")


def _same_value(one: str, two: str) -> bool:
    left, right = (_Python(text).source() for text in (one, two))
    trees = [ast.parse(source, mode="eval").body for source in (left, right)]
    names = sorted({n.id for tree in trees for n in ast.walk(tree) if isinstance(n, ast.Name)})
    variables = [name for name in names if name.startswith("v_")]
    exact = [_exact(tree) for tree in trees]
    if None not in exact:
        assert exact[0] is not None and exact[1] is not None
        close = abs(exact[0] - exact[1]) <= Fraction(1, 10**6) * max(map(abs, exact), default=0)
        decimals = any(len(found) >= 6 for found in re.findall(r"\.(\d+)", one + " " + two))
        return exact[0] == exact[1] or (close and decimals)
    dice, agreed = random.Random(7), 0
    for _ in range(12):
        point = {name: Fraction(dice.randrange(1, 400), 97) for name in variables}
        values = [_interval(tree, point) for tree in trees]
        if None in values:
            continue
        apart = values[0] - values[1]
        scale = 1 + mpmath.mpf(abs(values[0]).b)
        if 0 not in apart or mpmath.mpf(apart.delta) > scale * mpmath.mpf(10) ** -150:
            return False
        agreed += 1
    return agreed >= 3 or (agreed == 0 and _complex_agree(trees, variables))


def _complex_agree(trees: list[ast.expr], variables: list[str]) -> bool:
    """At points of its own; some of what is wanted has no real value anywhere."""
    dice = random.Random(8)
    with mpmath.workdps(250):
        for _ in range(4):
            point = {name: mpmath.mpf(dice.randrange(1, 400)) / 97 for name in variables}
            one, two = (
                _compute(tree, {**point, "k_i": mpmath.j}, mpmath, mpmath.mpf) for tree in trees
            )
            if abs(one - two) > mpmath.mpf(10) ** -200 * (1 + abs(one)):
                return False
    return True


def _exact(tree: ast.expr) -> Fraction | None:
    try:
        found = _compute(tree, {}, None, Fraction)
    except (ArithmeticError, KeyError, TypeError, AttributeError, ValueError):
        return None
    return found if isinstance(found, Fraction) else None


def _interval(tree: ast.expr, point: dict[str, Fraction]) -> Any:
    try:
        known = {name: iv.mpf(v.numerator) / v.denominator for name, v in point.items()}
        found = _compute(tree, known, iv, iv.mpf)
        return (
            found
            if isinstance(found, type(iv.mpf(1))) and mpmath.isfinite(mpmath.mpf(found.b))
            else None
        )
    except (ArithmeticError, KeyError, TypeError, AttributeError, ValueError):
        return None


_OPERATORS: dict[type, Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def _compute(tree: ast.AST, known: dict[str, Any], context: Any, number: Any) -> Any:
    def go(node: ast.AST) -> Any:
        match node:
            case ast.Constant(str(text)):
                exact = Fraction(text)
                return number(exact.numerator) / exact.denominator if context else exact
            case ast.Name(name):
                if context and name in ("k_pi", "k_e"):
                    return +context.pi if name == "k_pi" else context.exp(number(1))
                return known[name]
            case ast.UnaryOp(sign, inner):
                return -go(inner) if isinstance(sign, ast.USub) else go(inner)
            case ast.BinOp(base, ast.Pow(), exponent):
                return _raised(go(base), go(exponent), context)
            case ast.BinOp(left, sign, right):
                return _OPERATORS[type(sign)](go(left), go(right))
            case ast.Call(ast.Name(name), arguments):
                return _called(name, [go(argument) for argument in arguments], context)
        raise ValueError(ast.dump(node))

    return go(tree)


def _raised(base: Any, exponent: Any, context: Any) -> Any:
    if context is None:
        if exponent.denominator != 1 or abs(exponent) > 20_000:
            raise ValueError("no rational power")
        return Fraction(base) ** int(exponent)
    if (
        context is iv
        and exponent.delta == 0
        and exponent.a == int(exponent.a)
        and abs(exponent.a) < 9e5
    ):
        return base ** int(exponent.a)
    return base**exponent


def _called(name: str, values: list[Any], context: Any) -> Any:
    if name == "factorial":
        if context is iv and values[0].delta == 0 and 0 <= values[0].a <= 3000:
            return iv.mpf(_factorial(int(mpmath.mpf(values[0].a))).numerator)
        if context is None and values[0].denominator == 1 and 0 <= values[0] < 3000:
            return _factorial(int(values[0]))
        raise ValueError("no factorial")
    if context is None:
        if name == "abs":
            return abs(values[0])
        raise ValueError("not rational")
    value = values[0]
    if name in ("cot", "sec", "csc"):
        return 1 / {"cot": context.tan, "sec": context.cos, "csc": context.sin}[name](value)
    if name in ("ln", "log"):
        return context.log(value)
    if name in ("sinh", "cosh", "tanh"):
        up, down = context.exp(value), context.exp(-value)
        return {
            "sinh": (up - down) / 2,
            "cosh": (up + down) / 2,
            "tanh": (up - down) / (up + down),
        }[name]
    if name == "root":
        return value ** (1 / values[1])
    if name == "abs":
        return abs(value)
    return getattr(context, name.replace("arc", "a"))(value)


def _factorial(n: int) -> Fraction:
    product = 1
    for k in range(2, n + 1):
        product *= k
    return Fraction(product)


class _Python:
    """LaTeX to Python's operators, from left to right."""

    def __init__(self, text: str) -> None:
        self._tokens = [*_TOKEN.findall(text), ""]
        self._at = 0

    def source(self) -> str:
        found = self._sum("")
        if self._tokens[self._at]:
            raise ValueError("more than an expression")
        return found

    def _take(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    @property
    def _next(self) -> str:
        return self._tokens[self._at]

    def _sum(self, closing: str) -> str:
        found = []
        while self._next and self._next not in (
            closing,
            ")",
            "}",
            "]",
            r"\}",
            "|" if closing == "|" else "\0",
        ):
            token = self._next
            if token in "+-*/" or token in (r"\cdot", r"\times", r"\div", r"\pm", r"\mp"):
                self._take()
                found.append(
                    {
                        r"\cdot": "*",
                        r"\times": "*",
                        r"\div": "/",
                        r"\pm": "+'1234567891'*",
                        r"\mp": "-'1234567891'*",
                    }.get(token, token)
                )
            else:
                adjacent = found and found[-1][-1] not in "+-*/"
                found.append(("*" if adjacent else "") + self._operand())
        return " ".join(found)

    def _operand(self) -> str:
        base = self._atom()
        while self._next in ("^", "!", "_", "'"):
            sign = self._take()
            if sign == "^":
                base = f"({base})**({self._group()})"
            elif sign == "!":
                base = f"factorial({base})"
            elif sign == "'":
                base = f"{base}_prime" if base.startswith("v_") else base + "'"
            else:
                base += "_" + "".join(str(ord(c)) for token in self._raw() for c in token)
        return base

    def _raw(self) -> list[str]:
        """The tokens of a group, unread."""
        found, depth = [self._take()], 0
        depth += found[0] == "{"
        while depth:
            found.append(self._take())
            depth += (found[-1] == "{") - (found[-1] == "}")
        return found

    def _group(self) -> str:
        if self._next == "{":
            self._take()
            inner = self._sum("}")
            if self._take() != "}":
                raise ValueError("not closed")
            return inner
        if self._next in "+-":
            return self._take() + self._group()
        return self._atom()

    def _atom(self) -> str:
        token = self._take()
        if re.fullmatch(r"\d+(\.\d*)?|\.\d+", token):
            return f"'{token}'" if not token.endswith(".") else f"'{token[:-1]}'"
        if token in ("(", "[", "{", r"\{"):
            inner = self._sum({"(": ")", "[": "]", "{": "}", r"\{": r"\}"}[token])
            if self._take() not in (")", "]", "}", r"\}"):
                raise ValueError("not closed")
            return f"({inner})"
        if token == "|":
            inner = self._sum("|")
            self._take()
            return f"abs({inner})"
        if token == r"\frac":
            above = self._group()
            return f"(({above})/({self._group()}))"
        if token == r"\sqrt":
            degree = "'2'"
            if self._next == "[":
                self._take()
                degree = self._sum("]")
                self._take()
            return f"root({self._group()}, {degree})"
        if token[1:] in _FUNCTIONS:
            return self._applied(token[1:])
        if token == r"\pi":
            return "k_pi"
        if token in ("e", "i"):
            return f"k_{token}"
        if re.fullmatch(r"[a-zA-Z]", token) or re.fullmatch(r"\\[a-zA-Z]+", token):
            return "v_" + token.replace("\\", "macro_")
        raise ValueError(token)

    def _applied(self, name: str) -> str:
        power = base = ""
        while self._next in ("^", "_"):
            if self._take() == "^":
                power = self._group()
            else:
                base = self._group()
        if self._next == "-":
            self._take()
            argument = "-" + self._product()
        else:
            argument = self._product()
        found = f"{name}({argument})"
        if base:
            found = f"({found}/{name}({base}))"
        return f"({found})**({power})" if power else found

    def _product(self) -> str:
        if self._next in ("(", "[", "{"):
            return self._atom()
        found = [self._operand()]
        while self._next and re.fullmatch(
            r"[a-zA-Z\d.]+|\\(?!sin|cos|tan|ln|log|cdot|times|div|cot|sec|csc|pm|[{}\\])[a-zA-Z]+",
            self._next,
        ):
            found.append(self._operand())
        return "*".join(found)

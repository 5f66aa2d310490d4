"""Values of terms: exact rationals where there are some, else balls that hold the value.

Balls are python-flint's `arb` (real) and `acb` (complex): each operation widens the ball by its own
rounding, so two values whose balls do not meet differ. That they are equal no ball proves. What is
taken for it is agreement to many more bits than all parts of the two terms have together: a
difference that is not nothing is at least that large unless it was made to be smaller.
"""

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from flint import acb, arb, ctx, fmpq, fmpz

from whorl.engines.judge.terms import Apply, Number, Symbol, Term

_EXACT_BITS = 1 << 18  # of a rational that is worked out exactly
_MOST_BITS = 60_000  # of a ball; what would take more is undecided
_MOST_TERMS = 3_000  # of a sum or product that is added up
CONSTANTS = frozenset([r"\pi", "e", "i"])

Point = Mapping[str, Fraction]
"""Values of variables."""


class Undefined(ArithmeticError):
    """A term has no value at this point, or none that is computed here."""


class Unrounded(Undefined):
    """A value too close to an integer to say what it is rounded to."""


def exact(term: Term, point: Point | None = None) -> Fraction | None:
    """The value of a rational term whose size is moderate; None for any other."""
    try:
        value = _exact(term, point or {})
    except (Undefined, ZeroDivisionError):
        return None
    return Fraction(int(value.p), int(value.q))


def _exact(term: Term, point: Point) -> fmpq:
    match term:
        case Number(value):
            return fmpq(value.numerator, value.denominator)
        case Symbol(name):
            if name not in point:
                raise Undefined
            return fmpq(point[name].numerator, point[name].denominator)
        case Apply(head, parts):
            if head in ("sum", "prod"):
                return _repeated(term, point)
            if head == "root" or head not in _RATIONAL:
                raise Undefined
            return _checked(_RATIONAL[head](*(_exact(part, point) for part in parts)))


def _checked(value: fmpq) -> fmpq:
    if _bits(value) > _EXACT_BITS:
        raise Undefined
    return value


def _bits(value: fmpq) -> int:
    return int(value.p.bit_length() + value.q.bit_length())


def _power(base: fmpq, exponent: fmpq) -> fmpq:
    if exponent.q != 1 or (base == 0 and exponent <= 0):
        raise Undefined
    if base not in (0, 1, -1) and abs(exponent) * _bits(base) > 2 * _EXACT_BITS:
        raise Undefined
    if base in (1, -1):
        return base if exponent.p % 2 else fmpq(1)
    return base ** int(exponent.p)


def _factorial(value: fmpq) -> fmpq:
    if value.q != 1 or not 0 <= value <= 20_000:
        raise Undefined
    return fmpq(fmpz.fac_ui(value.p))


def _binomial(above: fmpq, below: fmpq) -> fmpq:
    if above.q != 1 or below.q != 1 or not 0 <= above <= 100_000 or not below >= 0:
        raise Undefined
    return fmpq(fmpz.bin_uiui(int(above.p), int(below.p)))


def _integers(function: Any) -> Any:
    def applied(*values: fmpq) -> fmpq:
        if any(value.q != 1 for value in values):
            raise Undefined
        return fmpq(function(*(int(value.p) for value in values)))

    return applied


_RATIONAL: dict[str, Any] = {
    "+": lambda a, b: a + b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "neg": lambda a: -a,
    "^": _power,
    "!": _factorial,
    "binom": _binomial,
    "abs": abs,
    "floor": lambda a: fmpq(a.p // a.q),
    "ceil": lambda a: -fmpq((-a).p // a.q),
    "max": max,
    "min": min,
    "gcd": _integers(math.gcd),
    "lcm": _integers(math.lcm),
}


def _repeated(term: Apply, point: Point) -> fmpq:
    """A finite sum or product, added up."""
    index, low, high, inner = term.parts
    first, last = _exact(low, point), _exact(high, point)
    if first.q != 1 or last.q != 1 or last - first > _MOST_TERMS or not isinstance(index, Symbol):
        raise Undefined
    total = fmpq(term.head == "prod")
    for k in range(int(first.p), int(last.p) + 1):
        value = _exact(inner, {**point, index.name: Fraction(k)})
        total = _checked(total + value if term.head == "sum" else total * value)
    return total


class Balls:
    """Values of terms as balls of some precision; one object is for one precision.

    bits: precision, and flint's own setting while a value is computed.
    kind: `arb`, where what is not real has no value, or `acb`.
    load: bits that the numbers met so far have together, large and small ones alike.
    """

    def __init__(self, bits: int, kind: type) -> None:
        self.bits = bits
        self.kind = kind
        self.load = 0.0

    def value(self, term: Term, point: Point) -> Any:
        """A finite ball that holds the value of a term at a point; raises `Undefined`."""
        before, ctx.prec = ctx.prec, self.bits
        try:
            return self._value(term, point)
        except (ZeroDivisionError, ValueError, OverflowError):
            raise Undefined from None
        finally:
            ctx.prec = before

    def _value(self, term: Term, point: Point) -> Any:
        match term:
            case Number(value):
                found = self._rational(value)
            case Symbol(name):
                found = self._symbol(name, point)
            case Apply(head, parts):
                found = self._applied(head, parts, point)
        if not found.is_finite():
            raise Undefined
        self.load += self._size(found)
        return found

    def _rational(self, value: Fraction) -> Any:
        self.load += value.denominator.bit_length()
        return self.kind(arb(fmpq(value.numerator, value.denominator)))

    def _size(self, value: Any) -> float:
        """Bits before or after the point of a value: |log2 of it|."""
        most = value.abs_upper()
        if most == 0:
            return 1
        size = abs(float((most.log() / arb(2).log()).mid()))
        return 1 + (0 if size > 1 << 40 and value.contains(0) else size)

    def _symbol(self, name: str, point: Point) -> Any:
        if name in point:
            return self._rational(point[name])
        if name == r"\pi":
            return self.kind(arb.pi())
        if name == "e":
            return self.kind(arb(1).exp())
        if name == "i" and self.kind is acb:
            return acb(0, 1)
        raise Undefined

    def _applied(self, head: str, parts: tuple[Term, ...], point: Point) -> Any:
        if head == "^" or head == "root":
            return self._raised(head, parts[0], parts[1], point)
        if head in ("sum", "prod"):
            return self._sum_of(head, parts, point)
        if head in ("!", "binom", "floor", "ceil", "gcd", "lcm"):
            return self._whole(Apply(head, parts), point)
        if head not in _FUNCTIONS:
            raise Undefined
        return _FUNCTIONS[head](*(self._value(part, point) for part in parts))

    def _raised(self, head: str, base: Term, by: Term, point: Point) -> Any:
        """A power. An odd root of a negative number is the real one, as schools have it."""
        exponent = exact(by, point)
        if exponent is None:
            if base == Symbol("e") and "e" not in point:
                return self._value(by, point).exp()
            value, power = self._value(base, point), self._value(by, point)
            if self.kind is acb and value.contains(0):
                raise Undefined
            return value**power
        if head == "root":
            if exponent == 0:
                raise Undefined
            exponent = 1 / exponent
        if base == Symbol("e") and "e" not in point:
            return self._rational(exponent).exp()
        value = self._value(base, point)
        return self._rational_power(value, exponent)

    def _rational_power(self, value: Any, exponent: Fraction) -> Any:
        above, below = exponent.numerator, exponent.denominator
        self.load *= 1 if below == 1 else 1.5
        if below == 1:
            if above.bit_length() > 200:
                return value ** self._rational(exponent)
            return value ** fmpz(above) if above >= 0 else 1 / value ** fmpz(-above)
        if value.contains(0) and not value.is_zero():
            raise Undefined
        if value.is_zero():
            if above < 0:
                raise Undefined
            return value
        real = value.imag.is_zero() if self.kind is acb else True
        if below % 2 and real and (value.real if self.kind is acb else value) < 0:
            power = (-value) ** self._rational(exponent)
            return -power if above % 2 else power
        if below == 2:
            root = value.sqrt()
            return root**above if above >= 0 else 1 / root**-above
        return value ** self._rational(exponent)

    def _sum_of(self, head: str, parts: tuple[Term, ...], point: Point) -> Any:
        index, low, high, inner = parts
        first, last = exact(low, point), exact(high, point)
        if first is None or last is None or not isinstance(index, Symbol):
            raise Undefined
        if first.denominator > 1 or last.denominator > 1 or last - first > _MOST_TERMS:
            raise Undefined
        total = self.kind(head == "prod")
        for k in range(int(first), int(last) + 1):
            value = self._value(inner, {**point, index.name: Fraction(k)})
            total = total + value if head == "sum" else total * value
        return total

    def _whole(self, term: Apply, point: Point) -> Any:
        """What is made for integers: exact, or by gamma where it is too large for that."""
        value = exact(term, point)
        if value is not None:
            return self._rational(value)
        inner = [self._value(part, point) for part in term.parts]
        if any(self.kind is acb and not part.imag.is_zero() for part in inner):
            raise Undefined
        parts = [part.real if self.kind is acb else part for part in inner]
        if term.head == "!":
            if not parts[0] > -1:
                raise Undefined
            return self.kind((parts[0] + 1).gamma())
        if term.head in ("floor", "ceil"):
            rounded = (parts[0].floor() if term.head == "floor" else parts[0].ceil()).unique_fmpz()
            if rounded is None:
                raise Unrounded
            return self.kind(rounded)
        raise Undefined


def _quotient(above: Any, below: Any) -> Any:
    if below.contains(0):
        raise Undefined
    return above / below


def _logarithm(value: Any) -> Any:
    if value.contains(0):
        raise Undefined
    return value.log()


def _absolute(value: Any) -> Any:
    return type(value)(abs(value))


_FUNCTIONS: dict[str, Any] = {
    "+": lambda a, b: a + b,
    "*": lambda a, b: a * b,
    "/": _quotient,
    "neg": lambda a: -a,
    "sqrt": lambda a: a.sqrt(),
    "abs": _absolute,
    "exp": lambda a: a.exp(),
    "ln": _logarithm,
    "log": lambda a: _logarithm(a) / type(a)(10).log(),
    "lg": lambda a: _logarithm(a) / type(a)(10).log(),
    "logb": lambda a, base: _quotient(_logarithm(a), _logarithm(base)),
    **{name: (lambda a, name=name: getattr(a, name)()) for name in (
        *("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "coth", "sech"),
        *("csch", "asin", "acos", "atan", "asinh", "acosh", "atanh"),
    )},
    "acot": lambda a: type(a).pi() / 2 - a.atan(),
    "asec": lambda a: _quotient(type(a)(1), a).acos(),
    "acsc": lambda a: _quotient(type(a)(1), a).asin(),
}  # fmt: skip

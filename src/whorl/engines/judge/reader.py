"""Reading LaTeX: a text to a term, by precedence climbing over its tokens.

What is ambiguous or not known is not guessed at: `Unreadable`. Text is never run as code.
"""

from collections.abc import Callable
from fractions import Fraction

from whorl.engines.judge.lexer import ACCENTS, CLOSING, INVERSE, OPENING, Token, tokens
from whorl.engines.judge.readings import HOLE, is_differential, is_function, is_letter, of
from whorl.engines.judge.terms import INFINITY, Apply, Number, Symbol, Term, Unreadable, heads

_DEPTH = 60  # of brackets within brackets
_RELATIONS = frozenset(["=", "<", ">", "<=", ">=", "!=", "~", r"\in", r"\notin", r"\equiv"])
_END = Token("end", "", False)


def read(text: str) -> Term:
    """The term that a text in LaTeX writes; raises `Unreadable`."""
    reader = _Reader(tokens(text))
    term = reader.statement()
    if reader.next is not _END:
        raise Unreadable(f"{reader.next.text!r} is out of place")
    return term


class _Reader:
    """One pass over tokens; `next` is the one that is read next."""

    def __init__(self, found: list[Token]) -> None:
        self._tokens = [*found, _END]
        self._at = 0
        self._depth = 0
        self._bars = 0

    @property
    def next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _accept(self, *texts: str) -> bool:
        if self.next.kind in ("sign", "command") and self.next.text in texts:
            self._take()
            return True
        return False

    def _expect(self, *texts: str) -> str:
        token = self._take()
        if token.kind not in ("sign", "command") or token.text not in texts:
            raise Unreadable(f"{texts[0]!r} is missing")
        return token.text

    # Statements: relations joined by "or" and "and"

    def statement(self) -> Term:
        term = self._conjunction()
        while self._accept(r"\or"):
            term = Apply(r"\or", (term, self._conjunction()))
        return term

    def _conjunction(self) -> Term:
        term = self._relation()
        while self._accept(r"\and"):
            term = Apply(r"\and", (term, self._relation()))
        return term

    def _relation(self) -> Term:
        """`a < b <= c` is one relation per sign, all of which hold."""
        sides, signs = [self._sets()], []
        while self.next.kind == "sign" and self.next.text in _RELATIONS:
            signs.append(self._take().text)
            sides.append(self._sets())
        links: list[Term] = [Apply(sign, (sides[n], sides[n + 1])) for n, sign in enumerate(signs)]
        modulus = self._modulus()
        if modulus is not None:
            if len(sides) > 2 or signs not in ([], ["="], [r"\equiv"]):
                raise Unreadable("a modulus out of place")
            return Apply("mod", (*sides[-2:], modulus))
        if not links:
            return sides[0]
        return links[0] if len(links) == 1 else Apply("chain", tuple(links))

    def _modulus(self) -> Term | None:
        """`\\pmod 7`, `(\\mod 7)`, `\\bmod 7` after a value."""
        bracket = self.next.text == "(" and self._tokens[self._at + 1].text in (r"\mod", r"\bmod")
        if bracket:
            self._take()
        if not self._accept(r"\pmod", r"\bmod", r"\mod"):
            return None
        modulus = self._sum()
        if bracket:
            self._expect(")")
        return modulus

    def _sets(self) -> Term:
        term = self._sum()
        while self.next.kind == "sign" and self.next.text in (r"\cup", r"\cap", r"\setminus"):
            term = Apply(self._take().text, (term, self._sum()))
        return term

    # Arithmetic

    def _sum(self) -> Term:
        term = self._signed()
        while self.next.kind == "sign" and self.next.text in ("+", "-", "pm", "mp"):
            sign = self._take().text
            right = self._signed()
            if sign == "-" and isinstance(right, Apply) and right.head == "{}":
                term = Apply(r"\setminus", (term, right))
                continue
            if sign == "-":
                right = Apply("neg", (right,))
            elif sign in ("pm", "mp"):
                right = Apply(sign, (right,))
            term = Apply("+", (term, right))
        return term

    def _signed(self) -> Term:
        """A term with any signs before it; a sign binds less than a product."""
        signs = []
        while self.next.kind == "sign" and self.next.text in ("+", "-", "pm", "mp"):
            signs.append(self._take().text)
        if len(signs) > 4:
            raise Unreadable("signs in a row")
        term = self._product()
        for sign in reversed(signs):
            if sign != "+":
                term = Apply("neg" if sign == "-" else sign, (term,))
        return term

    def _product(self) -> Term:
        term = last = self._power()
        before: Term = HOLE  # what `last`, the factor read last, stands in
        while True:
            token = self.next
            if token.kind == "sign" and token.text in ("*", "/", r"\times"):
                self._take()
                right = self._signed_factor()
                if token.text == r"\times" and is_letter(last) and is_letter(right):
                    term = last = of(before, last, right, HOLE, "cross")
                    before = HOLE
                else:
                    head = "/" if token.text == "/" else "*"
                    before, last = Apply(head, (term, HOLE)), right
                    term = Apply(head, (term, right))
            elif not self._starts_factor():
                return term
            elif token.text in ("(", "[") and self._may_be_function(last):
                bracket = self._primary()
                term = last = of(before, last, bracket, self._raised(HOLE))
                before = HOLE
            else:
                before = Apply("*", (term, HOLE))
                term = last = self._juxtaposed(term)
                if isinstance(term, Apply) and term.head == "*":
                    last = term.parts[1]

    def _may_be_function(self, factor: Term) -> bool:
        """Whether a bracket after a factor may hold arguments of it."""
        return self._tokens[self._at - 1].text not in (")", "]") and is_function(factor)

    def _signed_factor(self) -> Term:
        if self._accept("-"):
            return Apply("neg", (self._power(),))
        self._accept("+")
        return self._power()

    def _juxtaposed(self, term: Term) -> Term:
        """A product without a sign; an integer and a fraction below 1 are a mixed number."""
        token, left = self.next, self._tokens[self._at - 1]
        if token.kind == "number":
            whole = term.value if isinstance(term, Number) else None
            if whole is not None and left.kind == "number" and self._is_ratio_ahead():
                above = Fraction(self._take().text)
                self._take()
                below = Fraction(self._take().text)
                return self._mixed(whole, above, below)
            if left.text != "!":
                raise Unreadable("a number after a factor")
        right = self._power()
        if isinstance(term, Number) and left.kind == "number" and token.text == r"\frac":
            match right:
                case Apply("/", (Number(above, 0), Number(below, 0))):
                    if not term.places and 0 < above < below:
                        return self._mixed(term.value, above, below)
        return Apply("*", (term, right))

    def _is_ratio_ahead(self) -> bool:
        """`1/2`, after a blank, with nothing but a sign, bracket or the end behind it."""
        above, bar, below, after = (self._tokens[self._at :] + [_END] * 4)[:4]
        whole = self._tokens[self._at - 1]
        return (
            above.spaced
            and above.text.isdigit()
            and below.text.isdigit()
            and whole.text.isdigit()
            and bar.text == "/"
            and 0 < int(above.text) < int(below.text)
            and after.text not in ("!", "^", "_")
        )

    def _mixed(self, whole: Fraction, above: Fraction, below: Fraction) -> Term:
        return Number(whole + above / below)

    def _starts_factor(self) -> bool:
        kind, text, _ = self.next
        if kind in ("number", "name", "function"):
            return True
        if text == "(":
            return self._tokens[self._at + 1].text not in (r"\mod", r"\bmod", r"\pmod")
        if kind == "sign":
            return text in ("[", "{", r"\langle", r"\lfloor", r"\lceil") or (
                text == "|" and not self._bars
            )
        return (
            kind == "command"
            and text
            not in (*(r"\%", r"\}", r"\\", r"\pmod", r"\bmod", r"\mod", r"\prime", r"\limits"),)
        ) or kind == "begin"

    def _power(self) -> Term:
        return self._raised(self._primary())

    def _raised(self, term: Term) -> Term:
        term = self._postfix(term)
        derived = is_letter(term) and self._is_order_ahead()
        if not self._accept("^"):
            return term
        power = Apply("^", (term, self._exponent()))
        return Apply("either", (power, Symbol(f"derivative {power}"))) if derived else power

    def _is_order_ahead(self) -> bool:
        """`^{(3)}`, `^{(n)}`: the order of a derivative, or a rising power."""
        ahead = [token.text for token in self._tokens[self._at : self._at + 6]]
        return len(ahead) == 6 and "".join([*ahead[:3], *ahead[4:]]) == "^{()}"

    def _exponent(self) -> Term:
        """A group, a sign and a factor, or a factor with its exponent; `2^10` is 2 to the 10."""
        if self._accept("-"):
            return Apply("neg", (self._exponent(),))
        self._accept("+")
        term = self._primary()
        if self.next.text == "!":
            raise Unreadable("a factorial after an exponent")
        if self._accept("^"):
            return Apply("^", (term, self._exponent()))
        return term

    def _postfix(self, term: Term) -> Term:
        while True:
            if self._accept("!"):
                if self.next.text == "!":
                    raise Unreadable("a double factorial")
                term = Apply("!", (term,))
            elif self._accept(r"\%", "%"):
                term = Apply("/", (term, Number(Fraction(100))))
            else:
                return term

    # Factors

    def _primary(self) -> Term:
        self._depth += 1
        if self._depth > _DEPTH:
            raise Unreadable("nested too deeply")
        token = self._take()
        if token.kind == "number":
            term = self._number(token)
        elif token.kind == "name":
            term = self._symbol(token.text)
        elif token.kind == "function":
            term = self._function(token.text)
        elif token.text in OPENING:
            term = self._bracket(token.text)
        elif token.kind == "begin":
            term = self._matrix(token.text)
        elif token.kind == "command" and token.text in _COMMANDS:
            term = _COMMANDS[token.text](self)
        else:
            raise Unreadable(f"{token.text!r} is out of place" if token.text else "it breaks off")
        self._depth -= 1
        return term

    def _number(self, token: Token) -> Term:
        if self.next.text == "_":
            raise Unreadable("a numeral with its base")
        value, text = Fraction(token.text), self.next.text
        if text == r"\overline" and "." in token.text:
            self._take()
            again = self._digits()
            first = token.text.partition(".")[2]
            value += Fraction(int(again), (10 ** len(again) - 1) * 10 ** len(first))
            return Number(value)
        return Number(value, len(token.text.partition(".")[2]))

    def _digits(self) -> str:
        if self._accept("{"):
            digits = self._take().text
            self._expect("}")
        else:
            digits = self._take().text
        if not digits.isdigit():
            raise Unreadable("no digits to repeat")
        return digits

    def _symbol(self, name: str) -> Term:
        name = self._marked(name)
        if self.next.text == "(" and self._is_called(name):
            self._take()
            parts = [self.statement()]
            while self._accept(","):
                parts.append(self.statement())
            self._expect(")")
            return Apply("call", (Symbol(name), *parts))
        return INFINITY if name == r"\infty" else Symbol(name)

    def _marked(self, name: str) -> str:
        """A name with its indices and primes."""
        while True:
            if self._accept("'", r"\prime"):
                name += "'"
            elif self.next.text == "_":
                self._take()
                name += "_" + self._index()
            elif self.next.text == "^" and self._is_prime_ahead():
                self._take()
                braced = self._accept("{")
                while self._accept(r"\prime", "'"):
                    name += "'"
                if braced:
                    self._expect("}")
            else:
                return name

    def _is_prime_ahead(self) -> bool:
        ahead = [token.text for token in self._tokens[self._at + 1 : self._at + 3]]
        return ahead[0] == r"\prime" or (ahead[0] == "{" and ahead[1:] == [r"\prime"])

    def _index(self) -> str:
        """What a subscript holds, as a text."""
        if not self._accept("{"):
            return self._take().text
        depth, pieces = 1, []
        while depth and self.next.kind != "end":
            piece = self._take().text
            depth += (piece == "{") - (piece == "}")
            pieces.append(piece)
        return "".join(pieces[:-1])

    def _is_called(self, name: str) -> bool:
        """Whether brackets after a name hold arguments: after f, g, h, and wherever they are the
        left-hand side of a definition, `P(x) = ...`."""
        if name[0] in "fghFGH" and (len(name) == 1 or name[1] in "_'"):
            return True
        depth = 0
        if not name[0].isalpha() or self._at > 1 or name in "ei":
            return False
        for n, token in enumerate(self._tokens[self._at :], start=self._at):
            depth += (token.text == "(") - (token.text == ")")
            if depth == 0:
                return self._tokens[n + 1].text == "=" and n - self._at < 8
            if token.kind == "sign" and token.text not in ("(", ")", ",", "-"):
                return False
        return False

    def _function(self, name: str) -> Term:
        base: Term | None = None
        power: Term | None = None
        while self.next.text in ("_", "^"):
            if self._take().text == "_":
                base = self._group()
            else:
                power = self._exponent()
        after = self._tokens[self._at + 1 : self._at + 2]
        if name == "log" and self.next.kind == "number" and after and after[0].text == "(":
            base = self._primary()  # log10(x)
        if power == Apply("neg", (Number(Fraction(1)),)):
            if name not in INVERSE:
                raise Unreadable(f"{name} to the power -1")
            name, power = INVERSE[name], None
        arguments = self._arguments()
        term: Term
        if name == "log" and base is not None:
            term = Apply("logb", (*arguments, base))
        elif base is not None:
            raise Unreadable(f"{name} with an index")
        else:
            term = Apply(name, arguments)
        return Apply("^", (term, power)) if power is not None else term

    def _arguments(self) -> tuple[Term, ...]:
        """What a function is of: brackets, or a product up to a sign or another function."""
        if self.next.text in ("(", "[", "{", r"\{"):
            braced = self._take().text
            parts = [self._sum()]
            while self._accept(","):
                parts.append(self._sum())
            self._expect(*CLOSING[braced][:1])
            if self.next.text == "^" and braced == "{":
                self._take()
                return (Apply("^", (parts[0], self._exponent())),)
            return tuple(parts)
        if self._accept("-"):
            return (Apply("neg", self._arguments()),)
        term = self._power()
        while self.next.kind != "function" and self._starts_factor() and self.next.text != "(":
            term = self._juxtaposed(term)
        return (term,)

    def _bracket(self, opening: str) -> Term:
        if opening == "|":
            self._bars += 1
            inner: Term = self._sum()
            self._bars -= 1
            self._expect("|")
            return Apply("abs", (inner,))
        bars, self._bars = self._bars, int(opening == r"\{")  # where a bar stands for "such that"
        if self._accept(*CLOSING[opening]):
            self._bars = bars
            return self._empty(opening)
        parts = [self.statement()]
        while self._accept(",", ";"):
            parts.append(self.statement())
        if opening == r"\{" and self._accept("|", ":"):
            condition = self.statement()
            while self._accept(","):
                condition = Apply(r"\and", (condition, self.statement()))
            parts = [Apply("builder", (*parts, condition))]
        closing = self._expect(*CLOSING[opening])
        self._bars = bars
        return self._bracketed(opening, parts, closing)

    def _empty(self, opening: str) -> Term:
        if opening == r"\{":
            return Apply("{}", ())
        raise Unreadable("empty brackets")

    def _bracketed(self, opening: str, parts: list[Term], closing: str) -> Term:
        if opening in (r"\lfloor", r"\lceil"):
            return Apply(OPENING[opening], tuple(parts))
        if opening == r"\{":
            match parts:
                case [Apply("builder", _)]:
                    return parts[0]
            return Apply("{}", tuple(parts))
        if opening == r"\langle":
            return Apply("()", tuple(parts))
        matching = (opening, closing) in (("(", ")"), ("[", "]"), ("{", "}"))
        if len(parts) == 1 and matching:
            alone = self._tokens[0].text == "[" and self.next is _END
            if opening != "[" or not alone or "matrix" in heads(parts[0]):
                return parts[0]
            return Apply("[]", tuple(parts))
        if opening == "{":
            raise Unreadable("a comma in a group")
        if opening == "(" and closing == ")":
            return Apply("()", tuple(parts))
        if len(parts) == 2 or (opening, closing) == ("[", "]"):
            return Apply(opening + closing, tuple(parts))
        raise Unreadable("brackets do not match")

    # Commands

    def _group(self) -> Term:
        """A braced group, or a single piece: in `\\frac12` each digit is one."""
        if self.next.kind == "number" and len(self.next.text) > 1 and self.next.text.isdigit():
            token = self._take()
            self._at -= 1
            self._tokens[self._at] = Token("number", token.text[1:], False)
            return Number(Fraction(token.text[0]))
        return self._primary()

    def _fraction(self) -> Term:
        above = self._group()
        fraction = Apply("/", (above, self._group()))
        if all(map(is_differential, fraction.parts)):
            return Apply("either", (fraction, Symbol(f"derivative {fraction}")))
        return fraction

    def _root(self) -> Term:
        if self._accept("["):
            degree = self._sum()
            self._expect("]")
            return Apply("root", (self._group(), degree))
        return Apply("sqrt", (self._group(),))

    def _binomial(self) -> Term:
        above = self._group()
        return Apply("binom", (above, self._group()))

    def _decorated(self) -> Term:
        mark = self._tokens[self._at - 1].text
        return Symbol(self._marked(f"{mark} {self._letters()}"))

    def _blackboard(self) -> Term:
        return Symbol(self._marked(f"\\mathbb {self._letters()}"))

    def _letters(self) -> str:
        """The names in a group, as a text."""
        if not self._accept("{"):
            return self._take().text
        pieces = []
        while not self._accept("}"):
            token = self._take()
            if token.kind not in ("name", "number") and token.text not in ("_", "'", r"\prime"):
                raise Unreadable("a mark over an expression")
            pieces.append(token.text)
        return "".join(pieces)

    def _repeated(self) -> Term:
        """`\\sum_{k=a}^{b}` and `\\prod`: the index, its bounds and the product that follows."""
        head = "sum" if self._tokens[self._at - 1].text == r"\sum" else "prod"
        self._accept(r"\limits")
        bounds: dict[str, Term] = {}
        while self.next.text in ("_", "^") and len(bounds) < 2:
            sign = self._take().text
            bounds[sign] = self._primary() if self.next.text == "{" else self._exponent()
        match bounds.get("_"):
            case Apply("=", (Symbol(_) as index, low)):
                pass
            case _:
                raise Unreadable("a sum without bounds")
        if "^" not in bounds:
            raise Unreadable("a sum without bounds")
        return Apply(head, (index, low, bounds["^"], self._product()))

    def _matrix(self, kind: str) -> Term:
        if kind not in _MATRICES:
            raise Unreadable(f"{kind} is not read")
        rows: list[list[Term]] = [[]]
        while self.next.kind != "end" or not self.next.text:
            if self.next.kind == "end":
                raise Unreadable("it breaks off")
            if self._accept("\\\\"):
                rows.append([])
            elif not self._accept("&"):
                rows[-1].append(self.statement())
        if self._take().text != kind:
            raise Unreadable("a matrix is not closed")
        rows = [row for row in rows if row]
        if not rows or len({len(row) for row in rows}) > 1:
            raise Unreadable("rows of different length")
        body = Apply("matrix", tuple(Apply("row", tuple(row)) for row in rows))
        return Apply("det", (body,)) if kind == "vmatrix" else body


_MATRICES = ("array", "pmatrix", "bmatrix", "matrix", "vmatrix", "Bmatrix", "smallmatrix")
_COMMANDS: dict[str, Callable[[_Reader], Term]] = {
    r"\frac": _Reader._fraction,
    r"\sqrt": _Reader._root,
    r"\binom": _Reader._binomial,
    r"\mathbb": _Reader._blackboard,
    r"\sum": _Reader._repeated,
    r"\prod": _Reader._repeated,
    **dict.fromkeys(ACCENTS, _Reader._decorated),
}

"""LaTeX in pieces: numbers, names, signs and brackets."""

import re
from typing import NamedTuple

from whorl.engines.judge.terms import Unreadable

FUNCTIONS = {
    name: plain
    for plain, names in {
        **{
            name: name
            for name in [
                "sin",
                "cos",
                "tan",
                "cot",
                "sec",
                "csc",
                "exp",
                "ln",
                "log",
                "gcd",
                "lcm",
                "max",
                "min",
            ]
        },
        **{name: name for name in ["sinh", "cosh", "tanh", "coth", "sech", "csch"]},
        "lg": "lg",
        "asin": "arcsin asin",
        "acos": "arccos acos",
        "atan": "arctan arctg atan",
        "acot": "arccot acot arcctg",
        "asec": "arcsec asec",
        "acsc": "arccsc acsc",
        "asinh": "arcsinh arsinh asinh",
        "acosh": "arccosh arcosh acosh",
        "atanh": "arctanh artanh atanh",
        "abs": "abs",
        "floor": "floor",
        "ceil": "ceil",
        "det": "det",
        "sgn": "sgn sign",
    }.items()
    for name in names.split()
} | {"tg": "tan", "ctg": "cot"}
"""How a function may be spelled -> its head."""

INVERSE = {"sin": "asin", "cos": "acos", "tan": "atan", "cot": "acot", "sec": "asec", "csc": "acsc"}
INVERSE |= {"sinh": "asinh", "cosh": "acosh", "tanh": "atanh"}

SIGNS = {
    r"\cdot": "*",
    r"\times": r"\times",
    r"\ast": "*",
    r"\bullet": "*",
    r"\div": "/",
    r"\pm": "pm",
    r"\mp": "mp",
    r"\le": "<=",
    r"\ge": ">=",
    r"\ne": "!=",
    r"\approx": "~",
    r"\simeq": "~",
    r"\sim": "~",
    r"\equiv": r"\equiv",
    r"\in": r"\in",
    r"\notin": r"\notin",
    r"\cup": r"\cup",
    r"\bigcup": r"\cup",
    r"\cap": r"\cap",
    r"\setminus": r"\setminus",
    r"\backslash": r"\setminus",
    r"\mid": "|",
    r"\vert": "|",
    r"\lvert": "|",
    r"\rvert": "|",
    r"\lbrace": r"\{",
    r"\rbrace": r"\}",
    r"\langle": r"\langle",
    r"\rangle": r"\rangle",
    r"\lfloor": r"\lfloor",
    r"\rfloor": r"\rfloor",
    r"\lceil": r"\lceil",
    r"\rceil": r"\rceil",
    r"\vee": r"\or",
    r"\lor": r"\or",
    r"\wedge": r"\and",
    r"\land": r"\and",
    r"\colon": ":",
}
OPENING = {
    "(": "()",
    "[": "[]",
    "{": "",
    r"\{": "{}",
    r"\langle": "()",
    "|": "abs",
    r"\lfloor": "floor",
    r"\lceil": "ceil",
}
CLOSING = {
    "{": ("}",),
    r"\{": (r"\}",),
    r"\langle": (r"\rangle",),
    "|": ("|",),
    r"\|": (r"\|",),
    r"\lfloor": (r"\rfloor",),
    r"\lceil": (r"\rceil",),
    "(": (")", "]"),
    "[": ("]", ")"),
}
ACCENTS = (
    r"\overline",
    r"\bar",
    r"\hat",
    r"\vec",
    r"\tilde",
    r"\dot",
    r"\ddot",
    r"\widehat",
    r"\overrightarrow",
    r"\mathcal",
    r"\mathscr",
    r"\mathfrak",
)
"""What makes another letter of a letter."""

COMMANDS = frozenset(
    [
        r"\frac",
        r"\sqrt",
        r"\binom",
        r"\pmod",
        r"\bmod",
        r"\mod",
        r"\mathbb",
        r"\sum",
        r"\prod",
        r"\prime",
        r"\%",
        r"\{",
        r"\}",
        r"\\",
        r"\limits",
        *ACCENTS,
    ]
)
_SYMBOLS = frozenset(
    [
        r"\alpha",
        r"\beta",
        r"\gamma",
        r"\delta",
        r"\epsilon",
        r"\varepsilon",
        r"\zeta",
        r"\eta",
        r"\theta",
        r"\vartheta",
        r"\iota",
        r"\kappa",
        r"\lambda",
        r"\mu",
        r"\nu",
        r"\xi",
        r"\pi",
        r"\rho",
        r"\varrho",
        r"\sigma",
        r"\varsigma",
        r"\tau",
        r"\upsilon",
        r"\phi",
        r"\varphi",
        r"\chi",
        r"\psi",
        r"\omega",
        r"\Gamma",
        r"\Delta",
        r"\Theta",
        r"\Lambda",
        r"\Xi",
        r"\Pi",
        r"\Sigma",
        r"\Upsilon",
        r"\Phi",
        r"\Psi",
        r"\Omega",
        r"\infty",
        r"\hbar",
        r"\ell",
        r"\emptyset",
        r"\Re",
        r"\Im",
        r"\aleph",
        r"\imath",
        r"\jmath",
        r"\mho",
        r"\wp",
    ]
)
_NO_PROSE = "|".join([*FUNCTIONS, "or", "and", "mod", "pi", "sqrt", "inf"])
_PROSE = re.compile(
    rf"(?<![\\a-zA-Z])(?!(?:{_NO_PROSE})\b)"
    r"(?:[a-zA-Z]{3,4} [a-zA-Z]{2,4}|[a-zA-Z]{2} [a-zA-Z]{3,4})(?![a-zA-Z(^])"
)  # two words of few letters, which are no product of variables
_TOKEN = re.compile(
    r"(?P<blank>\s+)|(?P<number>\d+(?:\.\d+)?|\.\d+)|(?P<word>[a-zA-Z]+)"
    r"|\\(?P<begin>begin|end)\s*\{(?P<name>[a-zA-Z]+)\}(?:\s*\{[lcr| ]*\})?"
    r"|\\operatorname\*?\s*\{(?P<operator>[a-zA-Z ]+)\}"
    r"|(?P<macro>\\[a-zA-Z]+|\\.)|(?P<sign><=|>=|[-+*/^_=<>(){}\[\]|,;:!'&%~])",
    re.DOTALL,
)


class Token(NamedTuple):
    """kind: number, name (a symbol), function, command, sign, or begin and end of an environment.
    spaced: a blank stands before it."""

    kind: str
    text: str
    spaced: bool


def tokens(text: str) -> list[Token]:
    """The pieces of a text in LaTeX; raises `Unreadable` at prose and at what is not known."""
    if _PROSE.search(text):
        raise Unreadable("prose, not an expression")
    found: list[Token] = []
    position, spaced = 0, False
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise Unreadable(f"{text[position]!r} is not read")
        kind, piece, position = match.lastgroup or "", match[0], match.end()
        if kind == "blank":
            spaced = True
            continue
        if match["begin"]:
            found.append(Token(match["begin"], match["name"], spaced))
        elif kind == "operator":
            found += _names(
                match["operator"].replace(" ", ""), text[position : position + 1], spaced
            )
        elif kind == "word":
            found += _names(piece, text[position : position + 1], spaced)
        elif kind == "macro":
            found.append(_macro(piece, spaced))
        else:
            found.append(Token(kind, piece, spaced))
        spaced = False
    return found


def _macro(piece: str, spaced: bool) -> Token:
    if piece in SIGNS:
        return Token("sign", SIGNS[piece], spaced)
    if piece[1:] in FUNCTIONS:
        return Token("function", FUNCTIONS[piece[1:]], spaced)
    if piece in _SYMBOLS:
        return Token("name", {r"\imath": "i", r"\jmath": "j"}.get(piece, piece), spaced)
    if piece in COMMANDS:
        return Token("command", piece, spaced)
    raise Unreadable(f"{piece} is not read")


_WORDS = {
    "infinity": Token("name", r"\infty", False),
    "inf": Token("name", r"\infty", False),
    "or": Token("sign", r"\or", False),
    "and": Token("sign", r"\and", False),
    "mod": Token("command", r"\mod", False),
    "union": Token("sign", r"\cup", False),
    "sqrt": Token("command", r"\sqrt", False),
    "pi": Token("name", r"\pi", False),
}
_GREEK = frozenset(
    ["alpha", "beta", "gamma", "delta", "theta", "lambda", "mu", "sigma", "tau", "phi", "omega"]
)
_LETTERS = 4  # that may be a product of variables; more are a word


def _names(word: str, following: str, spaced: bool) -> list[Token]:
    """A run of letters: a function, a constant, a product of variables; raises at a word."""
    if word in _WORDS:
        return [_WORDS[word]._replace(spaced=spaced)]
    if word in FUNCTIONS:
        return [Token("function", FUNCTIONS[word], spaced)]
    if word in _GREEK:
        return [Token("name", "\\" + word, spaced)]
    for size in range(min(len(word) - 1, 7), 1, -1):
        if word[-size:] in FUNCTIONS and following in ("(", "^") and len(word) - size <= _LETTERS:
            head = _letters(word[:-size], spaced)
            return [*head, Token("function", FUNCTIONS[word[-size:]], False)]
        if word[:size] in FUNCTIONS and len(word) == size + 1 and following != "(":
            return [
                Token("function", FUNCTIONS[word[:size]], spaced),
                Token("name", word[size:], False),
            ]
    return _letters(word, spaced)


def _letters(word: str, spaced: bool) -> list[Token]:
    if len(word) > _LETTERS:
        raise Unreadable("prose, not an expression")
    return [Token("name", letter, spaced and not n) for n, letter in enumerate(word)]

"""Final answers: finding one in a text, its plain form, and equality where arithmetic settles it.

Everything here takes microseconds and time linear in the text. What needs algebra is left
undecided (None) for the judge, and no number is compared with a hundred times itself: only an
explicit percent sign has two readings, `50%` is 50 to a question about percent and 1/2 elsewhere.
"""

import re
from fractions import Fraction
from typing import NamedTuple

LONGEST = 2_000
"""An answer of more characters than this is no final answer; it equals only itself."""

_BRACES = re.compile(r"\\(?:boxed|fbox)\s*\{|\\.|[{}]", re.DOTALL)
_BLANK = re.compile(r"\s*")
_PHRASE = re.compile(r"answer\s*(?:is\b|:)\s*:?\s*", re.IGNORECASE)
_FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$]+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]")
_SENTENCE = re.compile(r"[.!?](?=\s|$)|,?\s(?:because|since)\s")


def extract(text: str) -> str | None:
    """The final answer a solution states: the box that closes last, else what follows the last
    "answer is" or "answer:". None if there is neither: a last number is not a statement.
    """
    opened: list[tuple[int, bool]] = []  # where the contents of each open brace start; is it a box
    found: tuple[int, int] | None = None
    for token in _BRACES.finditer(text) if "box" in text else ():
        if token[0] == "}" and opened:
            start, boxed = opened.pop()
            if boxed and not _BLANK.fullmatch(text, start, token.start()):
                found = start, token.start()
        elif token[0][-1] == "{" and token[0] != r"\{":
            opened.append((token.end(), len(token[0]) > 1))
    if found is not None:
        return text[slice(*found)].strip()
    return _stated(text)


def _stated(text: str) -> str | None:
    start = -1
    for phrase in _PHRASE.finditer(text):
        start = phrase.end()
    if start < 0:
        return None
    line = text[start:].partition("\n")[0].strip(" *")
    formula = _FORMULA.match(line)
    if formula:
        return next(group for group in formula.groups() if group is not None).strip()
    return _SENTENCE.split(line, maxsplit=1)[0].strip(" *\r\t") or None


def parsable(answer: str) -> bool:
    """Whether an answer can be compared with another at all: something is left of it once dressing
    is taken off, it is no longer than `LONGEST`, and its braces match."""
    if len(answer) > LONGEST or not normalise(answer):
        return False
    depth = 0
    for token in _BRACES.finditer(answer):
        depth += (token[0] == "{" or len(token[0]) > 2) - (token[0] == "}")
        if depth < 0:
            return False
    return depth == 0


def normalise(answer: str) -> str:
    """The answer in plain form: no dollar signs, sizing, text macros, units, degrees, thousands
    commas, blanks, final period, nor a leading `x =`. A text longer than `LONGEST` is only
    stripped.
    """
    return take_apart(answer).body if len(answer) <= LONGEST else answer.strip()


class Parts(NamedTuple):
    """An answer taken apart: `x = 5 cm` is name `x`, body `5`, unit `cm`."""

    name: str
    body: str
    unit: str


_CHARACTERS = str.maketrans(
    {
        "−": "-",
        "–": "-",
        "°": r"^\circ ",
        "π": r"\pi ",
        "×": r"\times ",
        "·": r"\cdot ",
        "∞": r"\infty ",
        "≤": r"\le ",
        "≥": r"\ge ",
        "≈": r"\approx ",
        "∪": r"\cup ",
        "％": "%",
        "，": ",",
        "\u00a0": " ",
        "\u202f": " ",
    }
)
_REWRITES = tuple(
    (re.compile(pattern), plain)
    for pattern, plain in (
        (r"(?<=\d)(?:\{,\}|,?\s?\\[,!]\s?)(?=\d{3}(?!\d))", ","),  # 10{,}000  3,\!250  1\,234
        (r"\\(?:left|right|[bB]igg?[lrm]?)(?![a-zA-Z])\s*", ""),
        (r"(?<!\\)\\!", ""),
        (r"(?<!\\)\\[,;: ]|\\q?quad(?![a-zA-Z])|~", " "),
        (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
        (r"\\frac\s*([^\s{}\\])", r"\\frac{\1}"),
        (r"(\\frac\s*\{[^{}]*\})\s*([^\s{}\\])", r"\1{\2}"),
        (r"\\sqrt\s*([^\s{}\\\[])", r"\\sqrt{\1}"),
        (r"\\(le|ge)q(?:slant)?(?![a-zA-Z])", r"\\\1 "),
        (r"\^\s*(?:\\circ(?![a-zA-Z])|\{\s*\\circ\s*\})|\\degree(?![a-zA-Z])", ""),
        (r"([_^])\s*\{\s*(\w)\s*\}(?!\s*\d)", r"\1\2"),
        (r"\\?%|\s*\b(?:percent(?:age)?|pct)\b\.?", "%"),
    )
)
_TEXT = re.compile(r"\\(?:text(?:rm|bf|it|sf)?|mbox|math(?:rm|bf|it|sf))\s*\{([^{}]*)\}")
_TEXT_UNIT = re.compile(
    r"(?:(?<=[\d)}\].!])|(?<=\\pi))\s*(?:\\(?:text(?:rm)?|mbox)\s*\{([^{}]*[a-zA-Z][^{}]*)\}"
    r"|\\mathrm\s*\{([^{}]*[a-zA-Z]{2}[^{}]*)\})\s*(?:\^\s*\{?\s*[23]\s*\}?)?[\s.]*$"
)
_WORD_UNIT = re.compile(
    r"(?<=[\d}])(?:\s+[a-z]{4,}(?:[ /]+[a-z]+)*"
    r"|\s*(?:cm|mm|km|kg|mg|ml|ft|lbs?|oz|yd|mph|hrs?|min|sec)"
    r"(?:\s*\^\s*\{?\s*[23]\s*\}?|[²³])?)[\s.]*$"
)
_NO_UNIT = re.compile(
    r"\s*(?:and|or|base|times|plus|minus|over|choose|mod|dozen|score|hundred|thousand|million"
    r"|billion|trillion|squared|cubed|factorial|hal(?:f|ves)|thirds?|quarters?|(?:four|fif|six|seven"
    r"|eigh|nin|ten|hundred|thousand|million)ths?|[ap]\.?\s*m\b|is|if|for|when|with)(?![a-z])",
    re.IGNORECASE,
)
_JOINED = re.compile(r",?\s*(?<![a-zA-Z\\])(?:and|or)(?![a-zA-Z])\s*")
_ABOUT = re.compile(r"(?:\\approx(?![a-zA-Z])|approximately|roughly|about)\s*", re.IGNORECASE)
_NAMED = re.compile(
    r"((?:[a-zA-Z]|\\[a-zA-Z]+)(?:_(?:\w|\{[^{}]*\}))?\s*(?:\([a-zA-Z, ]*\))?)\s*"
    r"(?:=|\\in(?![a-zA-Z]))\s*(?=[^=<>]+$)(?!.*\\(?:le|ge|ne)(?![a-zA-Z]))"
)
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?!\d|,\d)")
_LOOSE = re.compile(r"(?<=\d)\s+(?=[a-zA-Z])|(?<![a-zA-Z0-9])\s+|\s+(?![a-zA-Z0-9])")
_AFTER_MACRO = re.compile(r"(\\[a-zA-Z]+)\s+(?=\d)")


def take_apart(answer: str) -> Parts:
    """What the answer says, in plain form: see `normalise`, which is the body alone."""
    if _DECIMAL.fullmatch(answer):
        return Parts("", answer, "")
    text = _single_spaced(answer.translate(_CHARACTERS))
    if "boxed" in text or "fbox" in text:
        text = extract(text) or text
    for pattern, plain in _REWRITES:
        text = pattern.sub(plain, text)
    text = _undressed(_single_spaced(text))
    money = "$" if re.match(r"[-+]?\s*\\?\$", text) else ""
    text = text.replace(r"\$", "").replace("$", "").strip()
    text, unit = _without_unit(text)
    text = _JOINED.sub(",", _TEXT.sub(r" \1 ", text)).strip()
    about = _ABOUT.match(text)
    if about:
        text = text[about.end() :]
    name = ""
    named = _NAMED.match(text)
    if named:
        name, text = _LOOSE.sub("", named[1]), text[named.end() :]
    if not unit:
        text, unit = _without_unit(text)
    return Parts(name, _tight(text), unit or money)


def _single_spaced(text: str) -> str:
    """Runs of blanks cost the patterns below time quadratic in their length."""
    return " ".join(text.split())


def _undressed(text: str) -> str:
    """Without the signs of a formula around the whole, and without final punctuation."""
    text = text.strip().rstrip(".,;").strip()
    for left, right in (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")):
        inner = text[len(left) : -len(right)]
        if text.startswith(left) and text.endswith(right) and left not in inner and inner:
            return inner.strip().rstrip(".,;").strip()
    return text


def _without_unit(text: str) -> tuple[str, str]:
    """Take a unit off the end: any text macro after a value, a word only after a number."""
    unit = _TEXT_UNIT.search(text)
    if unit:
        words = (unit[1] or unit[2]).strip()
        if not _NO_UNIT.match(words):
            return text[: unit.start()].strip(), text[unit.start() :].strip(" .")
    unit = _WORD_UNIT.search(text)
    if unit and not _NO_UNIT.match(unit[0]):
        value = text[: unit.start()]
        if _number(_tight(_ABOUT.sub("", value))) is not None:
            return value.strip(), text[unit.start() :].strip(" .")
    return text, ""


def _tight(text: str) -> str:
    """Without thousands commas and without blanks that separate nothing; a comma that is left
    separates a list and is written `, `, so that `1, 234` never turns into `1,234`."""
    if not re.search(r"[(\[]|\\\{", text):
        text = _THOUSANDS.sub(lambda number: number[0].replace(",", ""), text)
    text = _LOOSE.sub("", _AFTER_MACRO.sub(r"\1", text.strip()))
    text = re.sub(r"\s+", " ", text).rstrip(".,;")
    return re.sub(r"(?<!\{),(?!\})", ", ", text)


_SIGNED = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)"
_DECIMAL = re.compile(rf"({_SIGNED})(?:[eE]([+-]?\d{{1,3}}))?")
_SCIENTIFIC = re.compile(
    rf"(?:({_SIGNED})(?:\\times|\\cdot|\*))?10\^(?:(\d)|\{{([+-]?\d{{1,3}})\}}|([+-]?\d{{1,3}}))"
)
_RATIO = re.compile(rf"({_SIGNED})/({_SIGNED})|([+-]?)\\frac\{{({_SIGNED})\}}\{{({_SIGNED})\}}")
_MIXED = re.compile(r"([+-]?)(\d+)(?: (\d+)/(\d+)|\\frac\{(\d+)\}\{(\d+)\})")
_WRAPPED = re.compile(r"([+-]?)(?:\((.*)\)|\{(.*)\})")


def _number(text: str) -> Fraction | None:
    """The exact value of a plain number, ratio, mixed number or power of ten; else None."""
    wrapped = _WRAPPED.fullmatch(text)
    if wrapped:
        inner = wrapped[2] if wrapped[2] is not None else wrapped[3]
        if not inner or inner[0] in "({":  # one pair of brackets is enough for a number
            return None
        value = _number(inner)
        return -value if value is not None and wrapped[1] == "-" else value
    if match := _DECIMAL.fullmatch(text):
        return Fraction(match[1]) * Fraction(10) ** int(match[2] or 0)
    if match := _SCIENTIFIC.fullmatch(text):
        return Fraction(match[1] or 1) * Fraction(10) ** int(match[2] or match[3] or match[4])
    if match := _RATIO.fullmatch(text):
        above, below = Fraction(match[1] or match[4]), Fraction(match[2] or match[5])
        return (-above if match[3] == "-" else above) / below if below else None
    if match := _MIXED.fullmatch(text):
        above, below = Fraction(match[3] or match[5]), Fraction(match[4] or match[6])
        if 0 < above < below:  # 2 3/2 is as likely a product
            value = int(match[2]) + above / below
            return -value if match[1] == "-" else value
    return None


_PLAIN_INTEGER = re.compile(r"-?\d{1,18}")
_WORDS = re.compile(r"[a-zA-Z]+(?: [a-zA-Z]+)*")
_CHOICE = re.compile(r"\(?([A-Z])\)?")
_BASED = re.compile(r"(\d+)_(?:\{(\d+)\}|(\d+))")


def equal(gold: str, answer: str) -> bool | None:
    """Whether two answers are the same: True or False only where that is certain, None where it
    takes algebra. Symmetric; `equal(a, a)` is True. Exact but for decimals that stand for
    something they cannot write, or run to six places: those agree within 1e-6, relative.
    """
    if gold == answer:
        return True
    if len(gold) > LONGEST or len(answer) > LONGEST:
        return False
    if _PLAIN_INTEGER.fullmatch(gold) and _PLAIN_INTEGER.fullmatch(answer):
        return int(gold) == int(answer)
    one, other = take_apart(gold), take_apart(answer)
    if not one.body or not other.body:
        return False if one.body or other.body else None
    if one.name and other.name and one.name != other.name:
        return None
    if one.unit and other.unit and one.unit != other.unit:
        return None  # 5 cm and 5 centimetres, or 5 m: unknown
    return _compare(one.body, other.body, nesting=2)


def _compare(one: str, other: str, *, nesting: int) -> bool | None:
    """`equal` of two plain bodies, down to lists of tuples."""
    if one == other:
        return True
    if (verdict := _compare_numbers(one, other)) is not None:
        return verdict
    if (left := _CHOICE.fullmatch(one)) and (right := _CHOICE.fullmatch(other)):
        return left[1] == right[1]
    if _WORDS.fullmatch(one) and _WORDS.fullmatch(other) and len(one) > 1:
        return True if one.casefold() == other.casefold() else None
    if (left := _BASED.fullmatch(one)) and (right := _BASED.fullmatch(other)):
        if int(left[2] or left[3]) != int(right[2] or right[3]):
            return None
        return int(left[1]) == int(right[1])
    if nesting:
        return _compare_lists(items(one), items(other), nesting=nesting - 1)
    return None


def _compare_numbers(one: str, other: str) -> bool | None:
    percents = one.endswith("%") + other.endswith("%")
    left, right = _number(one.removesuffix("%")), _number(other.removesuffix("%"))
    if left is None or right is None:
        return None
    if left == right or _close(one, left, other, right):
        return True
    if percents == 1:
        return left == right * 100 if one.endswith("%") else left * 100 == right
    return False


def _close(one: str, left: Fraction, other: str, right: Fraction) -> bool:
    """Whether one side is a decimal approximation that agrees with the other within 1e-6."""
    if "." not in one and "." not in other:
        return False
    if abs(left - right) * 10**6 > max(abs(left), abs(right)):
        return False
    endless = not _terminates(left) or not _terminates(right)
    return endless or re.search(r"\.\d{6}", one + " " + other) is not None


def _terminates(value: Fraction) -> bool:
    """Whether a decimal can write it: no prime but 2 and 5 divides its denominator."""
    below = value.denominator
    below >>= (below & -below).bit_length() - 1
    return pow(5, below.bit_length(), below) == 0


class Items(NamedTuple):
    """A tuple, interval, set or bare list: its brackets (empty for a bare list) and members."""

    left: str
    members: tuple[str, ...]
    right: str

    @property
    def ordered(self) -> bool:
        """A tuple or an interval, not a set or a list."""
        return self.left in ("(", "[")


_BRACKETS = re.compile(r"\\?[{}]|[()\[\],]")


def items(body: str) -> Items | None:
    """Take a normalised answer apart at its outermost commas; None if it is a single thing."""
    left = right = ""
    if opening := re.match(r"\(|\[|\\?\{", body):
        closing = re.search(r"(?:\)|\]|\\?\})$", body)
        if closing and _closes_last(body):
            left, right = opening[0], closing[0]
    inner = body[len(left) : len(body) - len(right)]
    members, start, depth = [], 0, 0
    for token in _BRACKETS.finditer(inner):
        if token[0] == "," and depth == 0:
            members.append(inner[start : token.start()].strip())
            start = token.end()
        elif token[0] != ",":
            depth += 1 if token[0][-1] in "([{" else -1
    if not members and "\\" not in left:
        return None
    members.append(inner[start:].strip())
    return Items(left, tuple(members), right)


def _closes_last(body: str) -> bool:
    """Whether the bracket that opens `body` is closed by its last one."""
    depth = 0
    for token in _BRACKETS.finditer(body):
        if token[0] != ",":
            depth += 1 if token[0][-1] in "([{" else -1
            if depth == 0:
                return token.end() == len(body)
    return False


def _compare_lists(one: Items | None, other: Items | None, *, nesting: int) -> bool | None:
    if one is None or other is None:
        return None
    if one.ordered != other.ordered or max(len(one.members), len(other.members)) > 16:
        return None
    same_length = len(one.members) == len(other.members)
    if one.ordered:
        if not same_length:
            return False
        pairs = zip(one.members, other.members, strict=True)
        verdicts = [_compare(*pair, nesting=nesting) for pair in pairs]
        if all(verdicts):
            return (one.left, one.right) == (other.left, other.right)
        return False if False in verdicts else None
    table = [
        [_compare(member, rival, nesting=nesting) for rival in other.members]
        for member in one.members
    ]
    if any(set(line) == {False} for line in [*table, *zip(*table, strict=True)]):
        return False  # a member that none of the others equals
    once = all(line.count(True) == 1 for line in [*table, *zip(*table, strict=True)])
    return True if once else None

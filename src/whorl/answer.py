"""Final answers: finding one in a text, its plain form, and equality where arithmetic settles it.

Everything here takes microseconds and time linear in the text. What needs algebra is left
undecided (None) for the judge. Where graders differ, `Conventions` says what counts as the same.
"""

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, NamedTuple

LONGEST = 2_000
"""An answer of more characters than this is no final answer; it equals only itself."""


@dataclass(frozen=True, slots=True)
class Conventions:
    """What counts as the same answer where graders differ; rewards are given by the defaults.

    percent: what `50%` is. `number`: 50, the question asks for percent; `fraction`: 1/2; `either`.
        A number without the sign is never compared with a hundred times itself.
    units: `optional`: a side may leave its unit out; `required`: both name one or neither does;
        `ignored`. Unless ignored, two known units are converted: 2 feet is 24 inches, not 2 inches.
    lists: whether `1, 2` is `2, 1`. Tuples and intervals are always ordered, sets in braces never.
    intervals: whether a relation may stand for its `sets`: x <= 2 for (-oo, 2], or must be
        `written` as one.
    assignments: whether `x = 5` may stand for 5 (`optional`), or both sides name it (`required`).
    choices: whether `(C) 12` is the choice C (`labelled`), or only letters are (`bare`).
    tolerance: relative error allowed to a decimal that stands for what no decimal can write, or
        that is written to as many places as the tolerance has; 0 allows none.
    """

    percent: Literal["either", "number", "fraction"] = "either"
    units: Literal["optional", "required", "ignored"] = "optional"
    lists: Literal["unordered", "ordered"] = "unordered"
    intervals: Literal["sets", "written"] = "sets"
    assignments: Literal["optional", "required"] = "optional"
    choices: Literal["labelled", "bare"] = "labelled"
    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance < 1:
            raise ValueError("tolerance must be at least 0 and below 1")

    @property
    def places(self) -> int:
        """Decimal places that the tolerance has: 6 for 1e-6."""
        return max(1, round(-math.log10(self.tolerance))) if self.tolerance else 15


USUAL = Conventions()


class Verdict(NamedTuple):
    """right: None is undecided. reason: what settled it, or what was in the way, in a few words."""

    right: bool | None
    reason: str


_BRACES = re.compile(r"\\(?:boxed|fbox)\s*\{|\\.|[{}]", re.DOTALL)
_BETWEEN = re.compile(r"\\(?:q?quad|text(?:rm)?|mathrm|mbox|[,;: ()\[\]])|[\s${}]")
_JOINTS = (",", ";", "and", "or", ",and", ",or")
_MEMBERS = 32
_PHRASE = re.compile(
    r"answer\s*(?:is\b|:)\s*:?\s*|^#+[ \t]*(?:final[ \t]+)?answer[ \t]*\n\s*",
    re.IGNORECASE | re.MULTILINE,
)
_FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+)\$(?!\d)|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_SENTENCE = re.compile(r"[.!?](?=\s|$)|,?\s(?:because|since|which|where)\s")
_VERB = re.compile(r"[a-zA-Z]+[ ,].*\b(?:is|are|equals)\b\s*:?\s*(?=\S)")
_LAST_LINE = re.compile(r"(?:A:|(?:.*\s)?####)\s*([^#]+)")
_CHAT_TOKEN = re.compile(
    r"<\|(?:im_start|im_end|endoftext|end_of_text|eot_id|start_header_id|end|user|system)\|>"
    r"|</s>|\[INST\]"
)
_NEXT_QUESTION = re.compile(
    r"^[ \t]*(?:#+[ \t]*|\*\*)?(?:Question|Problem|Exercise|Instruction|Q|Human|User)(?:\*\*)?:",
    re.MULTILINE,
)


def extract(text: str) -> str | None:
    """The final answer a solution states: the box that closes last, with the boxes it is listed
    with (`\\boxed{1}` and `\\boxed{2}`); else what follows the last "answer is" or "answer:"; else
    the number on a last line `#### 5` or `A: 5`. None if there is none of these: a last number is
    not a statement. What follows the first solution is not read.
    """
    text = first_solution(text)
    boxes = _boxes(text)
    return _listed(text, boxes) if boxes else _stated(text)


def first_solution(text: str) -> str:
    """`text` up to where its writer turns to something else: a token of a chat template or, once
    an answer is stated, a line that opens another question (`Question:`, `Q:`, `Problem:`). A
    numbered one, `Question 2:`, may be a part of the same problem and ends nothing.
    """
    # Most texts are steps with nothing of the kind, so what a pattern needs is looked for first.
    for token in _CHAT_TOKEN.finditer(text) if "<" in text or "[INST]" in text else ():
        if not text[: token.start()].isspace() and token.start():
            text = text[: token.start()]
            break
    if ":" not in text or not _NEXT_QUESTION.search(text):
        return text
    phrase = _PHRASE.search(text)
    stated = [box.end for box in _boxes(text)[:1]] + ([phrase.end()] if phrase else [])
    following = _NEXT_QUESTION.search(text, min(stated)) if stated else None
    return text[: following.start()] if following else text


class _Box(NamedTuple):
    start: int
    inner: int
    close: int
    end: int


def _boxes(text: str) -> list[_Box]:
    """Boxes that hold something, in the order in which they close."""
    opened: list[tuple[int, int, bool]] = []  # an open brace: where it and its contents start; box?
    found: list[_Box] = []
    for token in _BRACES.finditer(text) if "box" in text else ():
        if token[0] == "}" and opened:
            start, inner, boxed = opened.pop()
            if boxed and not _BLANK.fullmatch(text, inner, token.start()):
                found.append(_Box(start, inner, token.start(), token.end()))
        elif token[0][-1] == "{" and token[0] != r"\{":
            opened.append((token.start(), token.end(), len(token[0]) > 1))
    return found


_BLANK = re.compile(r"\s*")


def _listed(text: str, boxes: list[_Box]) -> str:
    """The last box and those before it that only a comma, "and" or "or" separates from it. One
    value boxed twice is one answer."""
    last = boxes[-1]
    members = [text[last.inner : last.close].strip()]
    for box in reversed(boxes):
        if len(members) == _MEMBERS:
            break
        if box.end > last.start:  # the last box itself, or one inside it
            continue
        gap = text[box.end : last.start]
        if len(gap) > 60 or _BETWEEN.sub("", gap) not in _JOINTS:
            break
        last = box
        member = text[box.inner : box.close].strip()
        if not any(equal(member, known) for known in members):
            members.insert(0, member)
    return ", ".join(members)


def _stated(text: str) -> str | None:
    last = text.rstrip().rpartition("\n")[2].strip()
    last_line = _LAST_LINE.fullmatch(last) if "####" in last or last.startswith("A:") else None
    if last_line and len(last_line[1]) < 100 and _number(normalise(last_line[1])) is not None:
        return last_line[1].strip()
    start = -1
    for phrase in _PHRASE.finditer(text) if "answer" in text.casefold() else ():
        start = phrase.end()
    if start < 0:
        return None
    stated = text[start:].lstrip(" *")
    if formula := _FORMULA.match(stated):
        return next(group for group in formula.groups() if group is not None).strip()
    line = _SENTENCE.split(stated.partition("\n")[0].rstrip(" *"), maxsplit=1)[0]
    if verb := _VERB.match(line):  # "The final answer: the largest n is 34."
        line = line[verb.end() :]
        if formula := _FORMULA.match(line):
            return next(group for group in formula.groups() if group is not None).strip()
    return line.strip(" *\r\t") or None


def read(prediction: str, gold: str = "", *, guess: bool = False) -> str | None:
    """The answer that a prediction states, or is: one that is the gold answer word for word, or
    a text of a few words and no more, is taken whole.

    guess: where neither holds, take the last formula or number. That is for grading the texts of
        models that were never told how to state an answer; a reward for it is a reward for chance.
    """
    stated = extract(prediction)
    if stated is not None:
        return stated
    prediction = first_solution(prediction).strip()
    if prediction == gold.strip() or _bare(prediction):
        return prediction or None
    return _last_expression(prediction) if guess else None


def _bare(text: str) -> bool:
    """Whether a text is an answer rather than prose about one."""
    if len(text) > LONGEST:
        return False
    prose, formulas = _FORMULA.subn(" ", text)
    words = _PROSE.findall(_TEXT.sub(" ", prose))
    if formulas:
        return set(words) <= {"and", "or"}
    return len(words) <= 3 and "\n" not in prose and not {"is", "are"} & set(words)


_PROSE = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{2,}")
_LAST_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:/\d+)?%?(?![\d)\]}'\"])")


def _last_expression(text: str) -> str | None:
    """The formula or number that ends last; a number before a bracket or quote is part of more."""
    start, stop, end = -1, -1, -1  # where its contents start and stop, and where it ends
    for left, right in (("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")):
        close = text.rfind(right)
        if right == "$" and re.match(r"\$\d", text[close : close + 2]):
            continue  # a price
        close -= right == "$" and text[close - 1 : close] == "$"
        opening = text.rfind(left, 0, max(close, 0))
        if close > end and opening >= 0 and text[opening + len(left) : close].strip():
            start, stop, end = opening + len(left), close, close + len(right)
    for number in _LAST_NUMBER.finditer(text, max(end, 0)):
        start, stop = number.span()
    return text[start:stop].strip(" ,") if start >= 0 else None


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
        (r"(?<!\\)\\[,;: ]|\\q?quad|~", " "),
        (r"(?<![<>=])(?:<=(?!>)|=<)", r"\\le "),
        (r"(?<![<>=])>=", r"\\ge "),
        (r"(?<=\s)!=|\\neq?(?![a-zA-Z])", r"\\ne "),  # 5!=120 is a factorial
        (r"\\lt(?![a-zA-Z])", "<"),
        (r"\\gt(?![a-zA-Z])", ">"),
        (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
        (r"\\frac\s*([^\s{}\\])", r"\\frac{\1}"),
        (r"(\\frac\s*\{[^{}]*\})\s*([^\s{}\\])", r"\1{\2}"),
        (r"(?:√|(?<![a-zA-Z\\])sqrt)\s*(?:\(([^()]*)\)|(\d+|[a-z]))", r"\\sqrt{\1\2}"),
        (r"(?<![a-zA-Z\\])pi(?![a-zA-Z])", r"\\pi "),
        (r"\\sqrt\s*([^\s{}\\\[])", r"\\sqrt{\1}"),
        (r"\\(le|ge)q(?:slant)?(?![a-zA-Z])", r"\\\1 "),
        (r"\^\s*(?:\\circ(?![a-zA-Z])|\{\s*\\circ\s*\})|\\degree(?![a-zA-Z])", ""),
        (r"([_^])\s*\{\s*(\w)\s*\}(?!\s*\d)", r"\1\2"),
        (r"\\?%|\s*\b(?:percent(?:age)?|pct)\b\.?", "%"),
    )
)
_TRIGONOMETRIC = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)")
_DEGREES = re.compile(
    r"(\d+(?:\.\d+)?)\s*(?:\^\s*(?:\\circ(?![a-zA-Z])|\{\s*\\circ\s*\})|\\degree(?![a-zA-Z]))"
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
_CONSTANT = r"(?:[^a-zA-Z\\=<>]|\\(?:frac|sqrt|log|ln|binom|cdot|times|div|pi|pm)(?![a-zA-Z]))+"
_WORKED = re.compile(rf"(?!\s*[\d.]+\s*=){_CONSTANT}=\s*({_CONSTANT})")  # 2 \cdot 3 = 6
_NAMED_AFTER = re.compile(r"([^=<>]+)=\s*([a-zA-Z](?:_(?:\w|\{[^{}]*\}))?)")
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
    if _TRIGONOMETRIC.search(text):
        text = _DEGREES.sub(r"(\\frac{\1\\pi}{180})", text)
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
    if named := _NAMED.match(text):
        name, text = _LOOSE.sub("", named[1]), text[named.end() :]
    elif named := _NAMED_AFTER.fullmatch(text):
        name, text = _LOOSE.sub("", named[2]), named[1]
    elif worked := _WORKED.fullmatch(text):
        text = worked[1]
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


_SEMICOLONS = re.compile(r"[(\[][^()\[\],;]*;[^()\[\],]*[)\]]")  # (1; 2), and no (1,5; 2)
_REVERSED_START = re.compile(r"^\]([^\[\]]*,[^\[\]]*[)\[\]])$")  # ]0, 1] is (0, 1]
_REVERSED_END = re.compile(r"^([(\[][^\[\]]*,[^\[\]]*)\[$")


def _tight(text: str) -> str:
    """Without thousands commas and without blanks that separate nothing; a comma that is left
    separates a list and is written `, `, so that `1, 234` never turns into `1,234`."""
    text = _SEMICOLONS.sub(lambda inner: inner[0].replace(";", ","), text)
    text = _REVERSED_END.sub(r"\1)", _REVERSED_START.sub(r"(\1", text.strip()))
    if not re.search(r"[(\[]|\\\{", text):
        text = _THOUSANDS.sub(lambda number: number[0].replace(",", ""), text)
    text = _LOOSE.sub("", _AFTER_MACRO.sub(r"\1", text))
    text = re.sub(r"\s+", " ", text).rstrip(".,;")
    return re.sub(r"(?<!\{),(?!\})", ", ", text)


_SIGNED = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)"
_DECIMAL = re.compile(rf"({_SIGNED})(?:[eE]([+-]?\d{{1,3}}))?")
_SCIENTIFIC = re.compile(
    rf"(?:({_SIGNED})(?:\\times|\\cdot|\*))?10\^(?:(\d)|\{{([+-]?\d{{1,3}})\}}|([+-]?\d{{1,3}}))"
)
_RATIO = re.compile(rf"({_SIGNED})/({_SIGNED})|([+-]?)\\frac\{{({_SIGNED})\}}\{{({_SIGNED})\}}")
_MIXED = re.compile(r"([+-]?)(\d+)(?: (\d+)/(\d+)|\\frac\{(\d+)\}\{(\d+)\})")
_REPEATING = re.compile(r"([+-]?)(\d*)\.(\d*)\\overline(?:\{(\d+)\}|(\d))")
_WRAPPED = re.compile(r"([+-]?)(?:\((.*)\)|\{(.*)\})")


def _number(text: str) -> Fraction | None:
    """The exact value of a plain number, ratio, mixed number, repeating decimal or power of ten;
    else None."""
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
    if match := _REPEATING.fullmatch(text):  # 0.1\overline{6} is (16 - 1) / 90
        first, again = match[3], match[4] or match[5]
        once, twice = int(match[2] + first or 0), int(match[2] + first + again)
        value = Fraction(twice - once, 10 ** len(first) * (10 ** len(again) - 1))
        return -value if match[1] == "-" else value
    return None


_PLAIN_INTEGER = re.compile(r"-?\d{1,18}")
_WORDS = re.compile(r"[a-zA-Z]+(?: [a-zA-Z]+)*")
_CHOICE = re.compile(r"\(?([A-Z])\)?")
_LABELLED = re.compile(r"(?:\(([A-J])\)|([A-J])[).:])\s*\S.*")
_BASED = re.compile(r"(\d+)_(?:\{(\d+)\}|(\d+))")
_ALGEBRA = Verdict(None, "takes algebra")


def equal(gold: str, answer: str) -> bool | None:
    """Whether two answers are the same by the usual conventions: True or False only where that is
    certain, None where it takes algebra. Symmetric; `equal(a, a)` is True.
    """
    return compare(gold, answer).right


def compare(gold: str, answer: str, rules: Conventions = USUAL) -> Verdict:
    """`equal` by any conventions, with the reason."""
    if gold == answer:
        return Verdict(True, "same text")
    if len(gold) > LONGEST or len(answer) > LONGEST:
        return Verdict(False, f"over {LONGEST:,} characters")
    if _PLAIN_INTEGER.fullmatch(gold) and _PLAIN_INTEGER.fullmatch(answer):
        return _said(int(gold) == int(answer), "number")
    one, other = take_apart(gold), take_apart(answer)
    if not one.body or not other.body:
        return Verdict(False, "empty answer") if one.body or other.body else _ALGEBRA
    if apart := tell_apart(one, other, rules):
        return apart
    if one.name and other.name and one.name != other.name:
        return _ALGEBRA
    one, other = in_one_unit(one, other, rules)
    return _compare(one.body, other.body, rules, nesting=2)


def tell_apart(one: Parts, other: Parts, rules: Conventions) -> Verdict | None:
    """What names and units settle before the values are compared; None if nothing."""
    if rules.assignments == "required" and bool(one.name) != bool(other.name):
        return Verdict(False, "one side names a variable")
    if rules.units == "required" and bool(one.unit) != bool(other.unit):
        return Verdict(False, "one side names a unit")
    if rules.units != "ignored":
        left, right = _measure(one.unit), _measure(other.unit)
        if left and right and left[0] != right[0]:
            return Verdict(False, f"{left[0]} is not {right[0]}")
        if rules.units == "required" and not (left and right) and one.unit != other.unit:
            return Verdict(None, "units not known")
    return None


def in_one_unit(one: Parts, other: Parts, rules: Conventions) -> tuple[Parts, Parts]:
    """Both sides in the second one's unit, where each has one that is known."""
    left, right = _measure(one.unit), _measure(other.unit)
    if rules.units == "ignored" or not left or not right or left[1] == right[1]:
        return one, other
    factor, value = left[1] / right[1], _number(one.body)
    body = str(value * factor) if value is not None else f"{_latex(factor)}({one.body})"
    return Parts(one.name, body, other.unit), other


def _latex(value: Fraction) -> str:
    return f"\\frac{{{value.numerator}}}{{{value.denominator}}}"


_UNITS = {
    "length": "m meter metre=1 mm millimeter millimetre=1/1000 cm centimeter centimetre=1/100 "
    "km kilometer kilometre=1000 in inch inches=0.0254 ft foot feet=0.3048 yd yard=0.9144 "
    "mi mile=1609.344",
    "mass": "g gram=1 mg milligram=1/1000 kg kilogram kilo=1000 oz ounce=28.349523125 "
    "lb pound=453.59237",
    "time": "s sec second=1 min minute=60 h hr hour=3600 day=86400 week=604800",
    "volume": "l liter litre=1 ml milliliter millilitre=1/1000",
    "money": "$ dollar=1 cent=1/100",
}
_MEASURES = {
    name: (dimension, Fraction(factor))
    for dimension, units in _UNITS.items()
    for names, factor in re.findall(r"([^=]+)=(\S+)\s*", units)
    for name in names.split()
}
_MARKUP = re.compile(r"\\(?:text(?:rm)?|mbox|mathrm)|[{}.]")
_POWER = re.compile(r"(?:\^\s*)?([23²³])\s*$")
_POWER_WORDS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}


def _measure(unit: str) -> tuple[str, Fraction] | None:
    """The dimension of a unit and its size in that dimension's first unit; None if not known."""
    if not unit:
        return None
    text, power = _MARKUP.sub(" ", unit.casefold()), 1
    if written := _POWER.search(text):
        text, power = text[: written.start()], 2 if written[1] in "2²" else 3
    first, _, rest = text.strip().partition(" ")
    if first in _POWER_WORDS:
        text, power = rest, _POWER_WORDS[first]
    name = text.strip()
    found = _MEASURES.get(name) or _MEASURES.get(name.removesuffix("s"))
    if found is None:
        return None
    dimension, size = found
    return dimension if power == 1 else f"{dimension}^{power}", size**power


def _said(same: bool, what: str) -> Verdict:
    return Verdict(same, f"same {what}" if same else f"different {what}s")


def _compare(one: str, other: str, rules: Conventions, *, nesting: int) -> Verdict:
    """`compare` of two plain bodies, down to lists of tuples."""
    if one == other:
        return Verdict(True, "same plain form")
    verdict = _compare_numbers(one, other, rules)
    if verdict is not None:
        return verdict
    if chosen := _compare_choices(one, other, rules):
        return chosen
    if _WORDS.fullmatch(one) and _WORDS.fullmatch(other) and len(one) > 1:
        return _said(True, "words") if one.casefold() == other.casefold() else _ALGEBRA
    if (left := _BASED.fullmatch(one)) and (right := _BASED.fullmatch(other)):
        if int(left[2] or left[3]) != int(right[2] or right[3]):
            return _ALGEBRA
        return _said(int(left[1]) == int(right[1]), "numeral")
    if nesting:
        same = _compare_lists(items(one), items(other), rules, nesting=nesting - 1)
        return _ALGEBRA if same is None else _said(same, "list")
    return _ALGEBRA


def _compare_choices(one: str, other: str, rules: Conventions) -> Verdict | None:
    left, right = _CHOICE.fullmatch(one), _CHOICE.fullmatch(other)
    if left and right:
        return _said(left[1] == right[1], "choice")
    labelled = _LABELLED.fullmatch(other if left else one) if left or right else None
    if labelled is None or rules.choices == "bare":
        return None
    letter = left or right
    assert letter is not None
    return _said(letter[1] == (labelled[1] or labelled[2]), "choice")


def _compare_numbers(one: str, other: str, rules: Conventions) -> Verdict | None:
    left, right = _number(one.removesuffix("%")), _number(other.removesuffix("%"))
    if left is None or right is None:
        return None
    signs = one.endswith("%"), other.endswith("%")
    if signs[0] != signs[1] and rules.percent != "number":
        parts = left / (100 if signs[0] else 1), right / (100 if signs[1] else 1)
        same = parts[0] == parts[1] or _close(one, parts[0], other, parts[1], rules)
        if same or rules.percent == "fraction":
            return _said(same, "number")
    return _said(left == right or _close(one, left, other, right, rules), "number")


def _close(one: str, left: Fraction, other: str, right: Fraction, rules: Conventions) -> bool:
    """Whether one side is a decimal approximation that agrees with the other."""
    if not rules.tolerance or ("." not in one and "." not in other):
        return False
    if abs(left - right) > Fraction(rules.tolerance) * max(abs(left), abs(right)):
        return False
    endless = not _terminates(left) or not _terminates(right)
    return endless or any(
        len(decimals) >= rules.places for decimals in re.findall(r"\.(\d+)", f"{one} {other}")
    )


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


def _compare_lists(
    one: Items | None, other: Items | None, rules: Conventions, *, nesting: int
) -> bool | None:
    if one is None or other is None:
        return None
    if one.ordered != other.ordered or max(len(one.members), len(other.members)) > 16:
        return None
    same_length = len(one.members) == len(other.members)
    if one.ordered or (rules.lists == "ordered" and not one.left and not other.left):
        if not same_length:
            return False
        pairs = zip(one.members, other.members, strict=True)
        verdicts = [_compare(*pair, rules, nesting=nesting).right for pair in pairs]
        if all(verdicts):
            return (one.left, one.right) == (other.left, other.right)
        return False if False in verdicts else None
    table = [
        [_compare(member, rival, rules, nesting=nesting).right for rival in other.members]
        for member in one.members
    ]
    if any(set(line) == {False} for line in [*table, *zip(*table, strict=True)]):
        return False  # a member that none of the others equals
    once = all(line.count(True) == 1 for line in [*table, *zip(*table, strict=True)])
    return True if once else None

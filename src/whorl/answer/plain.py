"""The plain form of an answer: what it says, without dressing."""

import re
from typing import NamedTuple

from whorl.answer.boxes import find_boxes, listed
from whorl.answer.conventions import LONGEST
from whorl.answer.numbers import DECIMAL, number


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
TEXT_MACRO = re.compile(r"\\(?:text(?:rm|bf|it|sf)?|mbox|math(?:rm|bf|it|sf))\s*\{([^{}]*)\}")
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
    if DECIMAL.fullmatch(answer):
        return Parts("", answer, "")
    text = _single_spaced(answer.translate(_CHARACTERS))
    if "boxed" in text or "fbox" in text:
        boxes = find_boxes(text)
        text = listed(text, boxes, str.__eq__) if boxes else text
    if _TRIGONOMETRIC.search(text):
        text = _DEGREES.sub(r"(\\frac{\1\\pi}{180})", text)
    for pattern, plain in _REWRITES:
        text = pattern.sub(plain, text)
    text = _undressed(_single_spaced(text))
    money = "$" if re.match(r"[-+]?\s*\\?\$", text) else ""
    text = text.replace(r"\$", "").replace("$", "").strip()
    text, unit = _without_unit(text)
    text = _JOINED.sub(",", TEXT_MACRO.sub(r" \1 ", text)).strip()
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
        if number(_tight(_ABOUT.sub("", value))) is not None:
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

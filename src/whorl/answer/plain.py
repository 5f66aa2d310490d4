"""The plain form of an answer: what it says, without dressing, name or unit."""

import re
from typing import NamedTuple

from whorl.answer.conventions import LONGEST
from whorl.answer.fonts import WORDS
from whorl.answer.numbers import DECIMAL
from whorl.answer.spelling import single_spaced, spelled, undressed
from whorl.answer.spoken import in_figures
from whorl.answer.units import without_money, without_unit


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


TEXT_MACRO = re.compile(rf"{WORDS}\s*\{{([^{{}}]*)\}}")
_JOINED = re.compile(r",?\s?(?<![a-zA-Z\\])(?:and|or)(?![a-zA-Z])\s?")
_RELATION = re.compile(r"[<>]|\\(?:le|ge|ne|in)(?![a-zA-Z])")
_ABOUT = re.compile(r"(?:\\(?:approx|simeq)(?![a-zA-Z])|(?i:approximately|roughly|about))\s?")
_INDEX = r"(?:_(?:\w|\{[^{}]{0,40}\}))?"
_SEGMENT = rf"(?:\\(?:angle|triangle|Delta|overline|vec)\s?\{{?\s?)?\|?[A-Z]{{1,4}}{_INDEX}\|?\}}?"
_NAMED = re.compile(
    rf"((?:(?:\\Delta\s?)?[a-zA-Z]|\\[a-zA-Z]+){_INDEX}'{{0,3}}(?:\^\{{?-1\}}?)?"
    r"\s?(?:\([a-zA-Z, ]{0,20}\))?"
    r"|[PE]\s?[(\[][^()=\[\]]{1,40}[)\]]|\\frac\{d[a-zA-Z]?\}\{d[a-zA-Z]\}\s?[a-zA-Z]?"
    r"|\\(?:lim|int)(?![a-zA-Z])[^=<>]{1,200}?"
    r"|(?:(?i:area|mean|mode|cost|time|rate|side|mass)|[a-zA-Z]{5,20})(?: [a-zA-Z]{2,20}){0,5}"
    r"|\([a-zA-Z](?:_\w)?(?:, ?[a-zA-Z](?:_\w)?){1,5}\)"  # (x, y)
    rf"|m?{_SEGMENT}(?:\s?[:/]\s?{_SEGMENT}){{0,3}}|\\frac\{{{_SEGMENT}\}}\{{{_SEGMENT}\}})\s?"
    r"(?:=|\\in(?![a-zA-Z])|\\approx(?![a-zA-Z]))\s?(?=[^=<>]+$)"
    r"(?!.*\\(?:le|ge|ne|approx|in|equiv)(?![a-zA-Z]))"
)
_NAMED_AFTER = re.compile(rf"([^=<>]+)=\s?([a-zA-Z]{_INDEX})")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?!\d|,\d)")
_LAKHS = re.compile(  # 1,00,000; 1,23,456 may be a list
    r"(?<![\d.,])(?=[\d,]*,0)\d{1,2}(?:,\d\d)+,\d{3}(?!\d|,\d)"
)
_LOOSE = re.compile(r"(?<=\d)\s+(?=[a-zA-Z])|(?<![a-zA-Z0-9])\s+|\s+(?![a-zA-Z0-9])")
_AFTER_MACRO = re.compile(r"(\\[a-zA-Z]+)\s+(?=\d)")


def take_apart(answer: str) -> Parts:
    """What the answer says, in plain form: see `normalise`, which is the body alone."""
    if DECIMAL.fullmatch(answer):
        return Parts("", answer, "")
    if ":" in answer and (label := _LABEL.fullmatch(undressed(single_spaced(answer)))):
        return take_apart(label[3])._replace(name=" ".join((label[1] or label[2]).split()))
    text, unit, money = _bare(in_figures(spelled(answer)))
    if not _RELATION.search(text):  # of which "and" and "or" make different sets
        text = _JOINED.sub(",", _solutions_apart(text)).strip()
    if about := _ABOUT.match(text):
        text = text[about.end() :]
    name = ""
    if named := _NAMED.match(text):
        name, text = _LOOSE.sub("", named[1]), text[named.end() :]
    elif named := _NAMED_AFTER.fullmatch(text):
        name, text = _LOOSE.sub("", named[2]), named[1]
    if not unit:
        text, unit = without_unit(text)
    return Parts(name, _tight(text), unit or money)


_LABEL = re.compile(  # in text, or of more letters than variables have; `A: 5` is a choice
    rf"(?:{WORDS}\s?\{{\s?([a-zA-Z][^{{}}:0-9]{{1,80}}?)(?:\s?:\s?\}}|\s?\}}\s?:)"
    r"|((?:[A-Z][a-z]{2,20}|[a-z]{3,20})(?: [a-zA-Z]{1,20}){0,6})\s?:)"
    r"(?:\s|~|\\[,;: ]){0,4}"
    rf"((?=[-+$\\(\[\d]|[a-zA-Z](?![a-zA-Z]))(?!{WORDS}\s?\{{\s?[a-zA-Z])"
    r"[^:]*(?:(?<=\d)\s?:\s?\d[^:]*)?)"  # a ratio
)


def _solutions_apart(text: str) -> str:
    """`x = 1, y = 2 or x = 3, y = 4` with semicolons between what "or" separates; where it
    separates values of several variables themselves it stays, and is no "and"."""
    if not _OR.search(text) or len(set(_VALUED.findall(text))) < 2:
        return text
    return _OR.sub("; " if "," in text or _AND.search(text) else " \\\\or ", text)


_VALUED = re.compile(r"([a-zA-Z])(?:_\w)?\s?=")
_OR = re.compile(r",?\s?(?<![a-zA-Z\\])or(?![a-zA-Z])\s?")
_AND = re.compile(r"(?<![a-zA-Z\\])and(?![a-zA-Z])")


def worded(answer: str) -> str:
    """The answer in one spelling, with its name and its "and" and "or", and without a unit."""
    return _bare(spelled(answer))[0]


def _bare(text: str) -> tuple[str, str, str]:
    """A text without unit, money and text macros; the unit; the sign of money."""
    text, money = without_money(text)
    text, unit = without_unit(text)
    if money and _RATE.match(unit):
        unit, money = f"{money} {unit}", ""
    return " ".join(TEXT_MACRO.sub(r" \1 ", text).split()), unit, money


_RATE = re.compile(r"(?:\\text\s?\{\s?)?(?:/|(?:per|an?)\s)")  # $40 a day, per week
_DECIMAL_COMMA = re.compile(r"(?<=\d)(?:\{,\}|,)(?=\d)")
_POINTS = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{3})+(?![\d.])")


def with_points(answer: str) -> str:
    """An answer whose decimals are separated by commas, with points instead."""
    return _DECIMAL_COMMA.sub(".", _POINTS.sub(lambda run: run[0].replace(".", ""), answer))


_SEMICOLONS = re.compile(r"[(\[][^()\[\],;]{0,200};[^()\[\],]{0,200}[)\]]")  # (1; 2), no (1,5; 2)
_REVERSED = (  # ]0, 1] is (0, 1]; brackets that do not match otherwise are left as they are
    (re.compile(r"^\]([^\[\]()]*,[^\[\]()]*)\[$"), r"(\1)"),
    (re.compile(r"^\]([^\[\]()]*,[^\[\]()]*)\]$"), r"(\1]"),
    (re.compile(r"^\[([^\[\]()]*,[^\[\]()]*)\[$"), r"[\1)"),
)


def _tight(text: str) -> str:
    """Without thousands commas and without blanks that separate nothing; a comma that is left
    separates a list and is written `, `, so that `1, 234` never turns into `1,234`."""
    if ";" in text and "," not in text:
        text = text.replace(";", ", ")
    text = _SEMICOLONS.sub(lambda inner: inner[0].replace(";", ","), text)
    text = text.strip()
    if text[:1] in "[]" and text[-1:] in "[]":
        for pattern, plain in _REVERSED:
            text = pattern.sub(plain, text)
    if not re.search(r"[(\[]|\\\{", text):
        text = _THOUSANDS.sub(lambda number: number[0].replace(",", ""), text)
        text = _LAKHS.sub(lambda number: number[0].replace(",", ""), text)
    text = _LOOSE.sub("", _AFTER_MACRO.sub(r"\1", text))
    text = re.sub(r"\s+", " ", text).rstrip(".,;")
    return re.sub(r"(?<!\{),(?!\})", ", ", text)

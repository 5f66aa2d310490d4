"""Units at the end of an answer: which text after a value is one and may be left out."""

import re

from whorl.answer.dimensions import measure, named
from whorl.answer.fonts import OPENED, TEXT
from whorl.answer.numbers import number

_MACRO = rf"{TEXT}\s?\{{(?:[^{{}}]|\{{-?\d\}}){{0,80}}\}}"
_EXPONENT = r"(?:\s?\^\s?\{?\s?-?[1-4]\s?\}?)?"
_BRACED = rf"\{{\s?{_MACRO}{_EXPONENT}\s?\}}"
_ITEM = rf"(?:{_MACRO}|\\frac\s?{_BRACED}\s?{_BRACED}){_EXPONENT}"
_TEXT_UNIT = re.compile(
    rf"(?:(?<=[\d)}}\].!|])|(?<=\\pi))\s?{_ITEM}(?:\s?(?:/|\\cdot|\\times)?\s?{_ITEM}){{0,4}}[\s.]{{0,3}}$"
)
_LETTERS = re.compile(r"[a-zA-Z\u4e00-\u9fff$€£¥]")
_LONE_LETTER = re.compile(rf"\s?{TEXT}\s?\{{\s?([a-zA-Z])\s?\.?\}}[\s.]*")
_KNOWN_LETTERS = frozenset("mshgJNVWLlCFK")
_SHORT_NOUNS = (  # which lack a letter to be words rather than products anyway
    "ant|bag|bar|bat|bed|bee|box|boy|bug|bus|cab|car|cat|cow|cub|cup|day|dog|egg|fan|fox|gum|hat"
    "|hen|jar|job|key|kid|leg|man|men|mom|mug|nut|owl|pan|pea|pen|pet|pie|pig|pin|pot|pup|rat|rug"
    "|toy|van"
)
_RATE = (  # a list, as after a slash a word may be a variable
    r"(?:week|month|year|hour|hr|day|night|minute|min|second|sec|pound|lb|kg|gal|gallon|lit(?:er|re)"
    r"|ounce|cup|mile|foot|yard|acre|unit|item|page|trip|person|student|child|bottle|ticket|game)s?"
)
_MORE = r"(?:[ /][a-z]{1,30}){0,16}"
_WORD_UNIT = re.compile(
    r"(?:(?<=[\d}])|(?<=\\pi)|(?<=\\pi\s))"
    rf"(?:\s(?:[a-z]{{4,30}}|{_SHORT_NOUNS}){_MORE}"
    rf"|(?:\s(?:per|an?)\s|\s?/\s?){_RATE}{_MORE}|\sof (?:an?|the)\s[a-z]{{3,30}}{_MORE}"
    r"|\s?(?:cm|mm|km|kg|mg|m[lL]|ft|lbs?|oz|yd|mph|hrs?|min|sec|km/h|km/hr|m/s|ft/s|mi/hr?|cm/s|g/cm|kg/m"
    r"|(?<=\s)(?:in|mi|qts?|pts?|gals?|yrs?|wks?|tsp|tbsp)|USD|EUR|GBP)"
    r"(?:\s?\^\s?\{?\s?[23]\s?\}?)?)[\s.]{0,3}$"
)
_CJK_UNIT = re.compile(r"(?<=[\d}%)])\s?([\u4e00-\u9fff]{1,8})[\s.]{0,3}$")
_CJK_NO_UNIT = re.compile(
    r"[百千万亿分兆一二三四五六七八九十两半倍次方成折增减东西南北左右上下前后亏赚]"
)
_NO_COUNT = re.compile(  # a time of day, odds
    r"\s*(?:[ap]\.?\s*m\b|(?:o'clock\s+)?in the (?:morning|afternoon|evening)\b|to one\b)",
    re.IGNORECASE,
)
_NO_UNIT = re.compile(  # counts, multiples, comparisons, constants
    r"(?:and|or|not|nor|but|base|times|plus|minus|over|choose|mod(?:ulo)?|squared|cubed|factorial|power"
    r"|root|is|are|if|when|with|remainder|rem|out|from|than|except|at|between|infinity|sqrt|euler"
    r"|(?:dozen|gross|couple|pair|ten|hundred|thousand|million|billion|trillion|quadrillion"
    r"|zillion|lakh|crore|myriad|two|three|four|five|six|seven|eight|nine|[a-z]{2,5}teen"
    r"|(?:twen|thir|for|fif|six|seven|eigh|nine)ty|half|halve|third|quarter|single|double|triple"
    r"|kilo|mega|giga|tera|milli|micro|nano|percentage|percentile|twice|thrice|score)e?s?|mil|mils"
    r"|(?:four|fif|six|seven|eigh|nin|ten|hundred|thousand|million|billion)ths?|twelfths?|nths?"
    r"|(?:eleven|[a-z]{2,5}teen|[a-z]{3,6}ie)ths?"
    r"|permille|ppm|ppb|bps|alpha|beta|gamma|delta|phi|tau|theta|sigma|omega|psi|eta|chi|rho"
    r"|more|less|fewer|greater|smaller|most|least|many|few|none|zero|all"
    # what has an opposite
    r"|(?:in|de)crease[sd]?|above|below|under|north\w*|south\w*|east\w*|west\w*|left|right|ago"
    r"|now|noon|midnight|later|earlier|before|after|past|future|ahead|behind|gain(?:s|ed)?|loss(?:es)?|los[et]|wins?"
    r"|won|profits?|deficits?|surplus|debts?|credits?|debits?|positive|negative|(?:up|down)(?:wards?)?"
    r"|forward|backward|clockwise|counterclockwise|anticlockwise|bce|higher|lower|older|younger"
    r"|longer|shorter|taller|faster|slower|early|late|fast|slow|true|false|odd|even|yes)",
    re.IGNORECASE,
)
_BESIDE = frozenset(
    ("of", "the", "a", "an", "per", "in", "each", "by", "on", "to", "us", "sq", "cu")
)
_EXPONENTS = re.compile(r"\^\s?\{?\s?-?[1-4]\s?\}?")
_JOINTS = re.compile(TEXT + r"(?![a-zA-Z])|\\(?:frac|cdot|times)(?![a-zA-Z])|[{}]")
_WORDS = re.compile(r"[\sa-zA-Z\u4e00-\u9fff$€£¥./()'~*-]*")
_WORD = re.compile(r"[a-zA-Z]+|[\u4e00-\u9fff]+")
_MONEY = re.compile(r"[-+]?\s?(?:\\?\$|\\?€|\\?£|\\?¥|\\(?:euro|pounds|yen)(?![a-zA-Z]))")


_WORKED = re.compile(r"^(?:[\d\s.+*/()$-]|\\(?:times|cdot|div)(?![a-zA-Z])){1,80}=(?=[^=]*$)")


_A = re.compile(r"\s*an?\s")
_WHOLE = re.compile(r"[-+$\\\s\d,.]*")


def without_unit(text: str) -> tuple[str, str]:
    """A text and the unit at its end: any text macros after a value, words only after a number."""
    unit = _TEXT_UNIT.search(text)
    if unit and _is_unit(unit[0]):
        return text[: unit.start()].strip(), text[unit.start() :].strip(" .")
    unit = _WORD_UNIT.search(text) or _CJK_UNIT.search(text)
    if unit and _are_counted(unit[0]):
        value = text[: unit.start()]
        if _A.match(unit[0]) and not _WHOLE.fullmatch(value):
            return text, ""  # half an hour is no rate
        if (
            number(_about(_WORKED.sub("", value, count=1))) is not None
            or value.rstrip().endswith(r"\pi")
            or unit.re is _CJK_UNIT
        ):
            return value.strip(), text[unit.start() :].strip(" .")
    return text, ""


def without_money(text: str) -> tuple[str, str]:
    """A text without signs of money, and the one that it began with."""
    found = _MONEY.match(text)
    sign = ""
    if found and not ("$" in found[0] and "\\" not in found[0] and "$" in text[found.end() :]):
        sign = _SIGNS.get(found[0].lstrip("-+ ").lstrip("\\"), "$")
        text = text[: found.end()].replace(found[0].lstrip("-+ "), "") + text[found.end() :]
    elif text.endswith(("€", "£", "¥")):
        sign, text = text[-1], text[:-1]
    return " ".join(text.replace(r"\$", " ").replace("$", " ").split()), sign


_SIGNS = {"euro": "€", "pounds": "£", "yen": "¥", "€": "€", "£": "£", "¥": "¥"}


def _is_unit(written: str) -> bool:
    if not _are_counted(written):
        return False
    lone = _LONE_LETTER.fullmatch(written)  # other letters may be variables
    if lone and lone[1] == "K" and not re.search(r"\s\\|\{\s", written):
        return False  # 3K are three thousand
    return not lone or (lone[1] in _KNOWN_LETTERS and "operatorname" not in written)


def _are_counted(written: str) -> bool:
    """Whether every word is a known unit or what may be counted: `3 million`, `3 of 4` and
    `3 below` are other values than 3."""
    text = _JOINTS.sub(" ", _EXPONENTS.sub(" ", written)).strip()
    if _NO_COUNT.match(text) or not _WORDS.fullmatch(text) or not _LETTERS.search(text):
        return False
    return measure(written) is not None or all(map(_is_counted, _WORD.findall(text)))


def changes_value(prose: str) -> bool:
    """Whether the first words after a value make it another one: million, less, half, below."""
    words = _WORD.findall(prose[:80])[:5]
    return any(
        _CJK_NO_UNIT.search(word) if word[0] >= "一" else _NO_UNIT.fullmatch(word)
        for word in words
        if word.casefold() not in _IN_PROSE and named(word) is None
    )


_IN_PROSE = frozenset(("and", "is", "are", "if", "when", "with", "from", "at", "out", "all", "for"))


def _is_counted(word: str) -> bool:
    if named(word) is not None:
        return True
    if word[0] >= "\u4e00":
        return not _CJK_NO_UNIT.search(word)
    if _NO_UNIT.fullmatch(word):
        return False
    return len(word) > 2 or word.casefold() in _BESIDE


def _about(value: str) -> str:
    for word in (r"\approx", "approximately", "roughly", "about"):
        value = value.removeprefix(word)
    return re.sub(r"[\s,]", "", value)


_MEASURED = re.compile(rf"(\d[\d.,/]{{0,40}})(?:\s|~|\\[,;: ]){{0,4}}{OPENED}([^{{}}]{{1,40}})\}}")


def measured_otherwise(one: str, other: str) -> bool:
    """Whether two lists of measures, `5 km, 3 h`, pair other numbers with other units."""
    ours, theirs = (sorted(_MEASURED.findall(text)) for text in (one, other))
    return len(ours) > 1 and len(theirs) > 1 and ours != theirs

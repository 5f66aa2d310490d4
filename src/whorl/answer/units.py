"""Units of measurement: which text after a value is one, what it measures, how large it is."""

import re
from fractions import Fraction
from typing import NamedTuple

from whorl.answer.numbers import number

_FONT = r"\\(?:text(?:rm|bf|it|sf|normal|up)?|mathrm|mbox|rm|operatorname)"
_MACRO = rf"{_FONT}\s?\{{(?:[^{{}}]|\{{-?\d\}}){{0,80}}\}}"
_EXPONENT = r"(?:\s?\^\s?\{?\s?-?[1-4]\s?\}?)?"
_BRACED = rf"\{{\s?{_MACRO}{_EXPONENT}\s?\}}"
_ITEM = rf"(?:{_MACRO}|\\frac\s?{_BRACED}\s?{_BRACED}){_EXPONENT}"
_TEXT_UNIT = re.compile(
    rf"(?:(?<=[\d)}}\].!|])|(?<=\\pi))\s?{_ITEM}(?:\s?(?:/|\\cdot|\\times)?\s?{_ITEM}){{0,4}}[\s.]{{0,3}}$"
)
_INSIDE = re.compile(r"\{([^{}]*)")
_LETTERS = re.compile(r"[a-zA-Z\u4e00-\u9fff$€£¥]")
_LONE_LETTER = re.compile(rf"\s?{_FONT}\s?\{{\s?([a-zA-Z])\s?\.?\}}[\s.]*")
_KNOWN_LETTERS = frozenset("mshgJNVWLlCFK")
_WORD_UNIT = re.compile(
    r"(?:(?<=[\d}])|(?<=\\pi)|(?<=\\pi\s))(?:\s[a-z]{4,30}(?:[ /][a-z]{1,30}){0,16}"
    r"|\s?(?:cm|mm|km|kg|mg|m[lL]|ft|lbs?|oz|yd|mph|hrs?|min|sec|km/h|km/hr|m/s|ft/s|mi/hr?|cm/s|g/cm|kg/m)"
    r"(?:\s?\^\s?\{?\s?[23]\s?\}?)?)[\s.]{0,3}$"
)
_CJK_UNIT = re.compile(r"(?<=[\d}%)])\s?([\u4e00-\u9fff]{1,8})[\s.]{0,3}$")
_CJK_NUMBERS = re.compile("[百千万亿分兆]|[一二三四五六七八九十]")
_NO_UNIT = re.compile(
    r"\s*(?:and|or|base|times|plus|minus|over|choose|mod|dozen|score|hundred|thousand|million"
    r"|billion|trillion|squared|cubed|factorial|hal(?:f|ves)|thirds?|quarters?|(?:four|fif|six|seven"
    r"|eigh|nin|ten|hundred|thousand|million)ths?|[ap]\.?\s*m\b|is|if|for|when|with)(?![a-z])",
    re.IGNORECASE,
)
_MONEY = re.compile(r"[-+]?\s?(?:\\?\$|\\?€|\\?£|\\?¥|\\(?:euro|pounds|yen)(?![a-zA-Z]))")


def without_unit(text: str) -> tuple[str, str]:
    """A text and the unit at its end: any text macros after a value, words only after a number."""
    unit = _TEXT_UNIT.search(text)
    if unit and _is_unit(unit[0]):
        return text[: unit.start()].strip(), text[unit.start() :].strip(" .")
    unit = _WORD_UNIT.search(text) or _CJK_UNIT.search(text)
    if unit and not _NO_UNIT.match(unit[0]):
        if unit.re is _CJK_UNIT and _CJK_NUMBERS.match(unit[1]):
            return text, ""
        value = text[: unit.start()]
        if (
            number(_about(value)) is not None
            or value.rstrip().endswith(r"\pi")
            or unit.re is _CJK_UNIT
        ):
            return value.strip(), text[unit.start() :].strip(" .")
    return text, ""


def without_money(text: str) -> tuple[str, str]:
    """A text without signs of money, and the one that it began with."""
    found = _MONEY.match(text)
    sign = ""
    if found:
        sign = _SIGNS.get(found[0].lstrip("-+ ").lstrip("\\"), "$")
        text = text[: found.end()].replace(found[0].lstrip("-+ "), "") + text[found.end() :]
    elif text.endswith(("€", "£", "¥")):
        sign, text = text[-1], text[:-1]
    return " ".join(text.replace(r"\$", " ").replace("$", " ").split()), sign


_SIGNS = {"euro": "€", "pounds": "£", "yen": "¥", "€": "€", "£": "£", "¥": "¥"}


def _is_unit(written: str) -> bool:
    words = " ".join(_INSIDE.findall(written)).strip()
    if _NO_UNIT.match(words) or not _LETTERS.search(words):
        return False
    lone = _LONE_LETTER.fullmatch(written)  # other letters may be variables
    return not lone or (lone[1] in _KNOWN_LETTERS and "operatorname" not in written)


def _about(value: str) -> str:
    for word in (r"\approx", "approximately", "roughly", "about"):
        value = value.removeprefix(word)
    return re.sub(r"[\s,]", "", value)


class Measure(NamedTuple):
    """What a unit measures, as powers of base dimensions, and its size in their first units."""

    dimension: tuple[tuple[str, int], ...]
    size: Fraction

    def __str__(self) -> str:
        powers = (name if power == 1 else f"{name}^{power}" for name, power in self.dimension)
        return " ".join(powers)


_UNITS = {
    "length": "m meter metre 米=1 mm millimeter millimetre 毫米=1/1000 cm centimeter centimetre "
    "厘米=1/100 dm decimeter 分米=1/10 km kilometer kilometre 千米 公里=1000 "
    "in inch inches 英寸=0.0254 ft foot feet=0.3048 yd yard=0.9144 mi mile=1609.344",
    "mass": "g gm gram 克=1 mg milligram=1/1000 kg kilogram kilo 千克 公斤=1000 "
    "oz ounce=28.349523125 lb pound=453.59237",
    "time": "s sec second 秒=1 min minute 分钟=60 h hr hour 小时=3600 day 天=86400 week 周=604800",
    "volume": "l liter litre 升=1 ml milliliter millilitre 毫升=1/1000",
    "money": "$ dollar usd=1 cent=1/100",
    "euro": "€ euro eur=1",
    "pound sterling": "£ gbp=1",
    "yuan": "¥ yuan rmb 元 人民币=1",
    "celsius": "degc celsius 摄氏度=1",
    "fahrenheit": "degf fahrenheit=1",
    "force": "n newton=1 kn=1000",
    "energy": "j joule=1 kj=1000",
    "power": "w watt=1 kw=1000",
    "voltage": "v volt=1",
    "frequency": "hz hertz=1",
    "angle": "rad radian=1",
}
_MEASURES = {
    name: Measure(((dimension, 1),), Fraction(factor))
    for dimension, units in _UNITS.items()
    for names, factor in re.findall(r"([^=]+)=(\S+)\s*", units)
    for name in names.split()
}
_MEASURES["mph"] = Measure((("length", 1), ("time", -1)), Fraction("0.44704"))
_MEASURES["kmh"] = _MEASURES["kph"] = Measure((("length", 1), ("time", -1)), Fraction(5, 18))
_MARKUP = re.compile(
    r"\\(?:text(?:rm|bf|it|sf|normal|up)?|mbox|mathrm|rm|operatorname)(?![a-zA-Z])|[{}.]"
)
_QUOTIENT = re.compile(
    r"\\frac\s?\{\s?((?:[^{}]|\{[^{}]{0,80}\}){1,100})\}\s?\{\s?((?:[^{}]|\{[^{}]{0,80}\}){1,100})\}"
)
_PIECE = re.compile(
    r"\s*(?:(?P<over>/|\bper\b)|(?P<times>\\cdot|\\times|\*)|\^?\s*(?P<power>-?[1-4])(?!\d)"
    r"|(?P<shape>square|sq|cubic|cu|平方|立方)\b|(?P<shape2>平方|立方)"
    r"|(?P<name>[a-zA-Z]+|[$€£¥]|[\u4e00-\u9fff]+))"
)
_SHAPES = {"square": 2, "sq": 2, "cubic": 3, "cu": 3, "平方": 2, "立方": 3}


_LONE = re.compile(r"([-+]?[\d.,]*\d)([mgshlLJNVW])")


def split_lone(body: str) -> tuple[str, str] | None:
    """`2000m` as a number and a unit of one letter, which beside another unit is no variable."""
    found = _LONE.fullmatch(body)
    return (found[1], found[2]) if found else None


def may_be(known: Measure, unknown: str) -> bool:
    """Whether a text that is no known unit, `cm of rope`, may stand for one: it names a unit of
    that dimension, or units at large."""
    words = _MARKUP.sub(" ", unknown.casefold()).split()
    names = [_MEASURES.get(word) or _MEASURES.get(word.removesuffix("s")) for word in words]
    dimensions = {name for name, _ in known.dimension}
    return "unit" in unknown.casefold() or any(
        found is not None and found.dimension[0][0] in dimensions for found in names
    )


def measure(unit: str) -> Measure | None:
    """The dimension of a unit and its size; None if it is not known. `square feet`, `km/h` and
    `kg m^2` are known if their parts are."""
    if not unit:
        return None
    text = _MARKUP.sub(" ", _QUOTIENT.sub(r"\1 / \2", unit.casefold()).replace("^", " ^ ")).strip()
    powers: dict[str, int] = {}
    size, sign, shape, position, last = Fraction(1), 1, 1, 0, None
    while position < len(text):
        piece = _PIECE.match(text, position)
        if piece is None:
            return None
        position = piece.end()
        if piece["over"]:
            sign, last = -1, None
        elif piece["power"]:
            if last is None:
                return None
            size *= last[1].size ** (last[0] * (int(piece["power"]) - 1))
            for name, power in last[1].dimension:
                powers[name] += last[0] * power * (int(piece["power"]) - 1)
            last = None
        elif piece["shape"] or piece["shape2"]:
            shape = _SHAPES[piece["shape"] or piece["shape2"]]
        elif piece["name"]:
            found = _MEASURES.get(piece["name"]) or _MEASURES.get(piece["name"].removesuffix("s"))
            if found is None:
                return None
            for name, power in found.dimension:
                powers[name] = powers.get(name, 0) + sign * shape * power
            size *= found.size ** (sign * shape)
            last, shape = (sign * shape, found), 1
    dimension = tuple(sorted((name, power) for name, power in powers.items() if power))
    return Measure(dimension, size) if powers else None

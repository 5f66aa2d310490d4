"""What a unit of measurement measures, and how large it is."""

import re
from fractions import Fraction
from typing import NamedTuple

from whorl.answer.fonts import TEXT


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
    "mass": "g gm gram 克=1 mg milligram=1/1000 kg kilogram kilos 千克 公斤=1000 "
    "oz ounce=28.349523125 lb pound=453.59237 tonne=1000000",
    "time": "s sec second 秒=1 min minute 分钟=60 h hr hour 小时=3600 day 天=86400 "
    "week wk 周=604800",
    "calendar time": "month 个月=1 year yr 年=12 decade=120 century centuries=1200",
    "money": "$ dollar usd=1 cent penny pennies=1/100 nickel=1/20 dime=1/10",
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
    "unit": "unit=1",
    "bit": "bit=1",  # how many bytes a kilobyte has is not agreed upon
    "byte": "byte=1",
    "kilobyte": "kb kilobyte=1",
    "megabyte": "mb megabyte=1",
    "gigabyte": "gb gigabyte=1",
    "terabyte": "tb terabyte=1",
}
_IN_METRES = {
    2: "acre=4046.8564224 ha hectare 公顷=10000",
    3: "l liter litre 升=1/1000 ml milliliter millilitre 毫升=1/1000000 gallon gal=0.003785411784 "
    "quart qt=0.000946352946 pint pt=0.000473176473 cup=0.0002365882365 "
    "tablespoon tbsp=0.00001478676478125 teaspoon tsp=0.00000492892159375",
}
_MEASURES = {
    name: Measure(((dimension, power),), Fraction(factor))
    for dimension, power, units in (
        *((dimension, 1, units) for dimension, units in _UNITS.items()),
        *(("length", power, units) for power, units in _IN_METRES.items()),
    )
    for names, factor in re.findall(r"([^=]+)=(\S+)\s*", units)
    for name in names.split()
}
_MEASURES["mph"] = Measure((("length", 1), ("time", -1)), Fraction("0.44704"))
_MEASURES["kmh"] = _MEASURES["kph"] = Measure((("length", 1), ("time", -1)), Fraction(5, 18))
_MARKUP = re.compile(TEXT + r"(?![a-zA-Z])|[{}.]")
_QUOTIENT = re.compile(
    r"\\frac\s?\{\s?((?:[^{}]|\{[^{}]{0,80}\}){1,100})\}\s?\{\s?((?:[^{}]|\{[^{}]{0,80}\}){1,100})\}"
)
_PIECE = re.compile(
    r"\s*(?:(?P<over>/|\bper\b|\ban?\b(?=\s))|(?P<times>\\cdot|\\times|\*)|\^?\s*(?P<power>-?[1-4])(?!\d)"
    r"|(?P<shape>square|sq|cubic|cu|平方|立方)\b|(?P<shape2>平方|立方)"
    r"|(?P<name>[a-zA-Z]+|[$€£¥]|[\u4e00-\u9fff]+))"
)
_SHAPES = {"square": 2, "sq": 2, "cubic": 3, "cu": 3, "平方": 2, "立方": 3}


def named(name: str) -> Measure | None:
    """The measure of a word that names a unit, in the singular or plural."""
    name = name.casefold()
    return _MEASURES.get(name) or _MEASURES.get(name.removesuffix("s"))


def measured_in(unit: str) -> list[str]:
    """The units that a text names, known as a whole or not: `people per hour` is in 1/hours."""
    words = _MARKUP.sub(" ", unit.casefold()).replace("/", " per ").split()
    return sorted(
        word if word in _PER else str(named(word)) + str(getattr(named(word), "size", ""))
        for word in words
        if word in _PER or (word != "in" and named(word))
    )


_PER = ("per", "each", "every", "square", "cubic", "sq", "cu")


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
            found = named(piece["name"])
            if found is None:
                return None
            for name, power in found.dimension:
                powers[name] = powers.get(name, 0) + sign * shape * power
            size *= found.size ** (sign * shape)
            last, shape = (sign * shape, found), 1
    dimension = tuple(sorted((name, power) for name, power in powers.items() if power))
    return Measure(dimension, size) if powers else None

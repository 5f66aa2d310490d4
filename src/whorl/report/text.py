"""Text of unknown origin made readable, nothing invisible, nothing endless; and numbers as text."""

import math
from typing import NamedTuple


class Excerpt(NamedTuple):
    """The beginning of a text, and how many characters follow it."""

    text: str
    left_out: int = 0


def clip(text: str, limit: int) -> Excerpt:
    """At most `limit` characters of `text`, outer white space aside."""
    text = text.strip()
    return Excerpt(text[:limit], max(0, len(text) - limit))


def number(value: int | str | None) -> str:
    """An integer as text, with a thin space between groups of three digits."""
    if value is None:
        return "–"
    return f"{value:,}".replace(",", "\u2009") if isinstance(value, int) else value


def percent(share: float) -> str:
    """A share in [0, 1] as text, e.g. `61.2 %`."""
    return f"{100 * share:.1f}\u00a0%" if math.isfinite(share) else "–"


def points(difference: float) -> str:
    """A difference of shares as text, in percentage points with sign."""
    return f"{100 * difference:+.1f}".replace("-", "−") if math.isfinite(difference) else "–"


def probability(p: float | None) -> str:
    """A p value as text: three decimals, powers of ten below 0.001."""
    if p is None or not math.isfinite(p):
        return "–"
    if p >= 0.001:
        return f"{p:.3f}"
    if p == 0:
        return "< 10⁻³⁰⁰"
    digits, exponent = f"{p:.1e}".split("e")
    return f"{digits}·10{str(int(exponent)).translate(_SUPERSCRIPT)}"


_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

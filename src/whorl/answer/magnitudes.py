"""Numbers that a word multiplies: `2.5 million` is 2500000, `2 dozen` is 24."""

import re

from whorl.answer.fonts import OPENED

_TIMES = {
    "dozen": 12,
    "hundred": 10**2,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "万": 10**4,
    "亿": 10**8,
    "万亿": 10**12,
}
_NUMBER = r"(?<![\w.,/^_{}\\)])(\d{1,3}(?:,\d{3}){1,6}|\d{1,40})(?:\.(\d{1,40}))?"
_MULTIPLIED = re.compile(
    rf"{_NUMBER}\$?\s?\$?({OPENED})?(?:({'|'.join(list(_TIMES)[:6])})s?(?![a-zA-Z])|(万亿|[万亿]))"
    r"((?(3)\s?\})?)",
    re.IGNORECASE,
)


def written_out(text: str) -> str:
    """A text with each decimal number that such a word follows as the number it stands for.
    `\\frac12` million and `3 hundredths` are left as they stand."""
    found = _MULTIPLIED.search(text)
    while found:
        text = f"{text[: found.start()]}{_product(found)}{text[found.end() :]}"
        found = _MULTIPLIED.search(text)  # `3 hundred thousand`
    return text


def _product(found: re.Match[str]) -> str:
    whole, decimals, font, word, sign, closed = found.groups(default="")
    times = _TIMES[word.casefold() or sign]
    digits = str(int(whole.replace(",", "") + decimals) * times)
    if decimals:
        digits = digits.rjust(len(decimals) + 1, "0")
        digits = f"{digits[: -len(decimals)]}.{digits[-len(decimals) :]}".rstrip("0").rstrip(".")
    return digits + (font if font and not closed else "")

"""Double signs, `\\pm` and `\\mp`, written out."""

import re
from collections.abc import Sequence
from itertools import product

from whorl.engines.judge.terms import Unreadable

DOUBLE = re.compile(r"\\(?:pm|mp)(?![a-zA-Z])")
_MOST_SIGNS = 4


def signs(body: str, linked: bool) -> list[str]:
    """`1 \\pm x \\mp y` as both of what it stands for, all upper signs or all lower ones."""
    found = len(DOUBLE.findall(body))
    if not found:
        return [body]
    if found > _MOST_SIGNS:
        raise Unreadable("too many double signs")
    choices = (True, False)
    taken: Sequence[tuple[bool, ...]] = [(upper,) * found for upper in choices]
    if not linked:
        taken = list(product(choices, repeat=found))
    variants = []
    for uppers in taken:
        upper_ones = iter(uppers)
        variants.append(DOUBLE.sub(lambda sign, u=upper_ones: _sign(sign[0], next(u)), body))  # type: ignore[misc]
    return variants


def _sign(sign: str, upper: bool) -> str:
    return "+" if (sign == r"\pm") == upper else "-"

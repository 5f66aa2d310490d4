"""A bracket after a number and a blank: `18 (9 * 2)` is 18 and how it came about, or a product."""

import re
from collections.abc import Callable
from typing import NamedTuple

from whorl.answer import Verdict, take_apart, worded
from whorl.answer.numbers import number

Judged = Callable[[str, str], Verdict]

_REMARK = re.compile(r"(?P<before>[^()\[\]]{0,200}?\S)\s(?P<bracket>[(\[].{1,200}[)\]])[\s.]*")
_MOD = r"\\?[pb]?mod(?![a-z])"
_INSIDE = re.compile(
    rf"(?<=[\w}}%])\s[(\[](?!\s?{_MOD})[^()\[\]]{{1,200}}[)\]]"
    r"(?=\s*(?:,|and\b|or\b|$))"
)
_SAME = re.compile(
    r"^(?:or|i\.e\.|that is|which is|equals|since|because|as|from|=)[\s,]{1,2}", re.IGNORECASE
)
_MODULUS = re.compile(_MOD)
_LETTER = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z](?![a-zA-Z])")


class Remarked(NamedTuple):
    """An answer in a spelling without its remark, and the remark; several have theirs left out."""

    value: str
    remark: str | None


def judged_with_remarks(gold: str, answer: str, judged: Judged) -> Verdict | None:
    """The verdict where one side has a bracket after a number and a blank: a remark, if it has the
    value of the number. Otherwise it is undecided unless it is right, or wrong, by both readings;
    a plain number is never right as a product. None where no side has one.
    """
    sides = _remarked(gold), _remarked(answer)
    if sides == (None, None):
        return None
    product = judged(gold, answer)
    if product.right and (sides[0] is not None or not _is_plain(gold)):
        return product
    golds, answers = (
        _values(text, side, judged) for text, side in zip((gold, answer), sides, strict=True)
    )
    certain = all(
        side is None or len(values) == 2
        for side, values in zip(sides, (golds, answers), strict=True)
    )
    found = {judged(one, other).right for one in golds for other in answers}
    if True in found:
        return Verdict(True, "same value, and a remark") if certain else _EITHER
    if certain and found == {False} and not product.right:
        return Verdict(False, "another value, and a remark")
    return product if product.right is False else _EITHER


_EITHER = Verdict(None, "a remark in brackets or a factor")


def _values(text: str, side: Remarked | None, judged: Judged) -> list[str]:
    """What an answer may say: without a remark, and the remark if that says the same."""
    if side is None:
        return [text]
    if side.remark is not None and judged(side.value, side.remark).right:
        return [side.value, side.remark]
    return [side.value]


def _remarked(answer: str) -> Remarked | None:
    if "(" not in answer and "[" not in answer:
        return None
    text = worded(answer)
    found = _REMARK.fullmatch(text)
    if found and _is_one(found["bracket"]) and _is_constant(found["before"]):
        inside = found["bracket"][1:-1].strip()
        if _MODULUS.match(inside):
            return None
        return Remarked(found["before"], _SAME.sub("", inside, count=1))
    members = _INSIDE.sub("", text)
    if members != text and all(map(_is_constant, _members(members))):
        return Remarked(members, None)
    return None


def _is_one(bracket: str) -> bool:
    """Whether the bracket that opens a text is closed at its end."""
    depth = 0
    for n, sign in enumerate(bracket):
        depth += (sign in "([") - (sign in ")]")
        if depth == 0:
            return n == len(bracket) - 1
    return False


def _is_constant(text: str) -> bool:
    """Whether a text is a number, with a unit perhaps, or a root, a power or the like of some."""
    body = take_apart(text).body
    if number(body.removesuffix("%")) is not None:
        return True
    return re.search(r"\d|\\pi", body) is not None and not _LETTER.search(body)


def _is_plain(gold: str) -> bool:
    """Whether a gold answer is a number, or some."""
    return all(
        number(part.removesuffix("%")) is not None for part in _members(take_apart(gold).body)
    )


def _members(text: str) -> list[str]:
    return [part.strip() for part in re.split(r",\s|\s?\b(?:and|or)\b\s?", text) if part.strip()]

"""Boxes in a text: where they are, and which of them are one list."""

import re
from collections.abc import Callable
from typing import NamedTuple

BRACES = re.compile(r"\\{1,2}(?:boxed|fbox)\s*\{|\\.|[{}]", re.DOTALL)
_BOXES = re.compile(
    r"\\{1,2}(?:boxed|fbox)(?:\s*\{|(?:\s{1,3}|(?=\\[a-zA-Z]))"
    r"(?P<bare>[^\s{}$(\[][^$\n]{0,99}?)(?=\s?(?:\$|\\[)\]]))"
    r"|\s{0,3}(?P<token>-?\d[\d,]*(?:\.\d+)?|(?<=\s)[a-zA-Z](?![a-zA-Z])))|\\.|[{}]",
    re.DOTALL,
)
_BETWEEN = re.compile(r"\\(?:q?quad|text(?:rm)?|mathrm|mbox|[,;: ()\[\]])|[\s${}]")
_JOINTS = (",", ";", "and", "or", ",and", ",or")
_MEMBERS = 32


class Box(NamedTuple):
    start: int
    inner: int
    close: int
    end: int


def find_boxes(text: str) -> list[Box]:
    """Boxes that hold something, in the order in which they close; `\\boxed 9` is one too."""
    opened: list[tuple[int, int, bool]] = []  # an open brace: where it and its contents start; box?
    found: list[Box] = []
    for token in _BOXES.finditer(text) if "box" in text else ():
        if bare := token["bare"] or token["token"]:
            start = token.end() - len(bare)
            found.append(Box(token.start(), start, token.end(), token.end()))
        elif token[0] == "}" and opened:
            start, inner, boxed = opened.pop()
            if boxed and not _BLANK.fullmatch(text, inner, token.start()):
                found.append(Box(start, inner, token.start(), token.end()))
        elif token[0][-1] == "{" and token[0] != r"\{":
            opened.append((token.start(), token.end(), len(token[0]) > 1))
    return found


_BLANK = re.compile(r"\s*")


def listed(text: str, boxes: list[Box], equal: Callable[[str, str], object]) -> str:
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

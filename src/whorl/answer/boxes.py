"""Boxes in a text: where they are, and which of them are one list."""

import re
from collections.abc import Callable
from typing import NamedTuple

from whorl.answer.fonts import TEXT

BRACES = re.compile(r"\\{1,2}(?:boxed|fbox)\s*\{|\\.|[{}]", re.DOTALL)
_BOXES = re.compile(
    r"\\{1,2}(?:boxed|fbox)(?:\s*\{|(?:\s{1,3}|(?=\\[a-zA-Z]))"
    r"(?P<bare>[^\s{}$(\[][^$\n]{0,99}?)(?=\s?(?:\$|\\[)\]]))"
    r"|\s{0,3}(?P<token>-?\d[\d,]*(?:\.\d+)?|(?<=\s)[a-zA-Z](?![a-zA-Z])))|\\.|[{}]",
    re.DOTALL,
)
_BETWEEN = re.compile(rf"{TEXT}(?![a-zA-Z])|\\(?:q?quad|[,;: \[\]()])|[\s${{}}]")
_LABEL = r"(?:\(?[a-zA-Z0-9]\)|[a-zA-Z](?:_?\w)?=)"
_JOINT = re.compile(rf"(?:[,;]?(?:and|or|aswellas)|[,;]){_LABEL}?|\(?[a-zA-Z0-9]\)")
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
    whole = _in_formula(text, last)
    if whole is not None:
        return whole
    members = [text[last.inner : last.close].strip()]
    for box in reversed(boxes):
        if len(members) == _MEMBERS:
            break
        if box.end > last.start:  # the last box itself, or one inside it
            continue
        gap = text[box.end : last.start]
        bare = _BETWEEN.sub("", gap)
        spaced = not bare and "quad" in gap
        if len(gap) > 60 or not (spaced or _is_joint(bare)):
            break
        last = box
        member = text[box.inner : box.close].strip()
        if not any(equal(member, known) for known in members):
            members.insert(0, member)
    return ", ".join(members)


def _is_joint(bare: str) -> bool:
    return _JOINT.fullmatch(bare) is not None


EXCLAMATION = r"!(?=\s{0,9}(?:$|\*\*|[A-Z]))"
"""A mark at the end of a sentence, which is no factorial."""

_LEFT = re.compile(
    r"(?:[-+*/^_<>]|(?<![a-zA-Z]{2})!)\s?\Z|[\d)]\Z"
    r"|(?:\\(?:pm|mp|times|cdot|sqrt|ne|neq|le|ge|leq|geq|ln|log|sin|cos|tan|div)|"
    r"\\[dt]?frac\s?\{[^{}$\n]{0,80}\})\s?\{?\s?\Z|\\(?:[dt]?frac|sqrt)\s?\{[^{}$\n]{0,80}\Z"
)
_RIGHT = re.compile(
    rf"\s?(?:\\?%|[\^_*/+]|(?!{EXCLAMATION})!|-(?=\s?[\d\\a-zA-Z(])|\}}\s?\{{"
    r"|\\(?:pi|cdot|times|sqrt|[dt]?frac|div)(?![a-zA-Z]))|[a-zA-Z(\u4e00-\u9fff]"
)
_MORE = re.compile(
    r"[\s$]{0,3}(?:[,;]?\s?\b(?:and|or)\b|,)\s?\$?(?:\\\()?\s?(-?\d[\d/]{0,30})"
    r"(?=[\s$.\\)]{0,5}(?:\n|$))"
)
_DEGREES = re.compile(r"\s?\^\s?\{?\s?\\circ")
_TAIL = re.compile(r"[^\n.,;=$]{0,80}")
_OPENING = re.compile(r"[^\n.,;:=$&\u4e00-\u9fff]{0,80}\Z")


def _in_formula(text: str, box: Box) -> str | None:
    """The formula that a box is only a part of, without the box: `-\\boxed{2}` is -2. It is that
    of its line: another line has factors and signs of its own."""
    before, after = _beside(text, box)
    if more := _MORE.match(after):
        return f"{text[box.inner : box.close].strip()}, {more[1]}"
    line = after.partition("\n")[0]
    touched = _RIGHT.match(line) and not _DEGREES.match(line)
    multiple = _MULTIPLE.match(after)
    if not touched and not _LEFT.search(before) and not multiple:
        return None
    opening, tail = _OPENING.search(before), _TAIL.match(line)
    assert opening is not None and tail is not None
    inner = text[box.inner : box.close].strip()
    factor = re.search(r"[\d)]\Z", before) is not None
    inner = inner if re.fullmatch(r"[\w.]+", inner) and not factor else f"({inner})"
    left = _AFTER.sub("", opening[0])
    rest = f" {multiple[1]}" if multiple else tail[0]
    return f"{left}{inner}{rest}".strip(" *")


_AFTER = re.compile(
    r"^.*\\(?:quad|approx|implies|iff|therefore|(?:[lL]ong)?[rR]ightarrow)(?![a-zA-Z])"
)
_ARROW = re.compile(r"^.*(?:=|-)>")
_BULLET = re.compile(r"\s{0,9}(?:[-+*>•]\s+|>|\(?\d{1,2}[.)](?!\d)\s*){1,3}")
_EMPHASIS = re.compile(r"(?<![\w)}\]*])(\*{1,3}|__?)\Z")
_BOLD = re.compile(r"(?<![\w*])\*\*[^*]{1,80}\*\*\s?\Z")  # **Answer** before it
_DASH = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{3,}(?:\*\*)?\s-\s\Z")


def _beside(text: str, box: Box) -> tuple[str, str]:
    """What stands before a box on its line, and after it, without layout: an arrow and what it
    comes from, the mark of an item or a quotation, emphasis, a dash after a word. A dash is the
    mark of an item only with a blank: a line that is `-\\boxed{2}` says -2."""
    before = text[max(0, box.start - 100) : box.start].rpartition("\n")[2]
    after = text[box.end : box.end + 100]
    before = _ARROW.sub("", before)
    if (mark := _BULLET.match(before)) and not _is_displayed(text, box.start):
        before = before[mark.end() :]
    if (mark := _EMPHASIS.search(before)) and after.startswith(mark[1]):
        before, after = before[: mark.start()], after[len(mark[1]) :]
    return _DASH.sub("", _BOLD.sub("", before)), after


_DISPLAYS = ((r"\[", r"\]"), (r"\(", r"\)"), (r"\begin{", r"\end{"))


def _is_displayed(text: str, at: int) -> bool:
    """Whether a formula that began on an earlier line goes on here, where a sign is one."""
    if text.count("$$", 0, at) % 2:
        return True
    return any(text.count(left, 0, at) > text.count(right, 0, at) for left, right in _DISPLAYS)


_MULTIPLE = re.compile(
    r"[\s$]{0,3}(?:\\text\s?\{\s?)?(dozen|hundred|thousand|million|billion|trillion)(?![a-zA-Z])"
)

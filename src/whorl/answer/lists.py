"""Lists, tuples, sets and intervals, taken apart at their commas."""

import re
from typing import NamedTuple


class Items(NamedTuple):
    """A tuple, interval, set or bare list: its brackets (empty for a bare list) and members."""

    left: str
    members: tuple[str, ...]
    right: str

    @property
    def ordered(self) -> bool:
        """A tuple or an interval, not a set or a list."""
        return self.left in ("(", "[")


_BRACKETS = re.compile(r"\\?[{}]|[()\[\],]")


def items(body: str) -> Items | None:
    """Take a normalised answer apart at its outermost commas; None if it is a single thing."""
    left = right = ""
    if opening := re.match(r"\(|\[|\\?\{", body):
        closing = re.search(r"(?:\)|\]|\\?\})$", body)
        escaped = len(opening[0]) > 1
        if closing and escaped == (len(closing[0]) > 1) and _closes_last(body):
            left, right = opening[0], closing[0]
    inner = body[len(left) : len(body) - len(right)]
    members, start, depth = [], 0, 0
    for token in _BRACKETS.finditer(inner):
        if token[0] == "," and depth == 0:
            members.append(inner[start : token.start()].strip())
            start = token.end()
        elif token[0] != ",":
            depth += 1 if token[0][-1] in "([{" else -1
    if not members and "\\" not in left:
        return None
    members.append(inner[start:].strip())
    return Items(left, tuple(members), right)


def _closes_last(body: str) -> bool:
    """Whether the bracket that opens `body` is closed by its last one."""
    depth = 0
    for token in _BRACKETS.finditer(body):
        if token[0] != ",":
            depth += 1 if token[0][-1] in "([{" else -1
            if depth == 0:
                return token.end() == len(body)
    return False

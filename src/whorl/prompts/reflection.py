"""Reflections of chat models: what they say of a wrong solution before they solve again."""

import re

from whorl.ask import Reply
from whorl.prompts.wording import CORRECTED


def read_reflection(reply: Reply) -> str:
    """The reflection that a reply holds before the line `CORRECTED`, at which it was stopped or
    which it writes in its own way ("### Corrected Solution"). Empty if nothing stands before the
    line, if there is none, or if a sentence mentions it."""
    before = reply.text
    if reply.finished != "stop":
        lines = (reply.text[: line.start()] for line in _LINE.finditer(reply.text))
        before = next((said for said in lines if said.count("```") % 2 == 0), "")
    same_line = before.rpartition("\n")[2].strip(_MARKS)
    return before.rstrip("\n *#") if _ENDED.search(same_line) else ""


_MARKS = " \t*#_>`-"
_ENDED = re.compile(r"^$|[.!?:;)\]}$]$")
_LINE = re.compile(
    rf"^[ \t*#_>`-]{{0,8}}{re.escape(CORRECTED.rstrip(':'))}[*_]{{0,3}}:?[*_]{{0,3}}[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)

"""Reflections: where what a policy says of its own wrong solution ends, and a new one begins."""

import re

from whorl.prompts.wording import CORRECTED

STOPS = (CORRECTED, CORRECTED.title(), CORRECTED.upper(), CORRECTED.title().rstrip(":") + "\n")
"""Texts at which a reflection is cut: no more than four, which is what servers take."""

_WORDS = r"corrected\s+solution"
_ENDED = re.compile(r"^$|[.!?:;)\]}$]$")
_HEADING = re.compile(
    r"^[^\w\n]*(?:\\[a-z]{1,20}\*?\{)?(?:the )?(?:correct(?:ed)?|revised|rewritten|new)"
    r"\s+solution[^\w\n]*$"  # a line of its own, whatever marks stand round it
    rf"|^[^\n]{{0,80}}?\b{_WORDS}(?: is)?[*_ \t]*:",  # or the end of a phrase, and a colon
    re.IGNORECASE | re.MULTILINE,
)


def read_reflection(text: str, *, stopped: bool) -> str:
    """The part of a reply that is about the wrong solution: before the line that begins a new one,
    in any case and as a heading too; empty if it says nothing or begins none.

    stopped: one of `STOPS` ended the reply.
    """
    headings = (text[: found.start()] for found in _HEADING.finditer(text))
    said = next((said for said in headings if said.count("```") % 2 == 0), None)
    if said is None and not stopped:
        return ""
    said = _whole_lines(text) if said is None else said
    return said.rstrip("\n \t*#_>-")  # marks of a heading go with it


def _whole_lines(text: str) -> str:
    """A text that was cut without the sentence that it was cut in, such as `Here is the`."""
    before, _, last = text.rpartition("\n")
    return text if _ENDED.search(last.rstrip(" \t*#_>-")) else before

"""Reflections: where what a policy says of its own wrong solution ends, and a new one begins."""

import re

from whorl.prompts.wording import CORRECTED

STOPS = (CORRECTED, CORRECTED.title(), CORRECTED.upper(), CORRECTED.title().rstrip(":") + "\n")
"""Texts at which a reflection is cut: no more than four, which is what servers take."""

_WORDS = r"corrected\s+solution"
_ENDED = re.compile(r"^$|[.!?:;)\]}$。！？]$")
_HEADING = re.compile(
    r"^[^\w\n]*(?:\\[a-z]{1,20}\*?\{)?(?:the )?(?:correct(?:ed)?|revised|rewritten|new)"
    r"\s+solution[^\w\n]*$"  # a line of its own, whatever marks stand round it
    rf"|^[^\n]{{0,80}}?\b{_WORDS}(?: is)?[*_ \t]*:",  # or the end of a phrase, and a colon
    re.IGNORECASE | re.MULTILINE,
)


_BLAMES = re.compile(
    r"\b(?:errors?|mistakes?)\b[^.,\n]{0,60}?\b(?:is|are|was|were|lies|occurs)\b"
    r"|\b(?:is|was|has|contains|made|makes) (?:an|a) (?:error|mistake)\b"
    r"|\b(?:is|was|are|were) (?:wrong|incorrect|not (?:right|correct))\b|错|誤",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[.!?。！？](?=\s)")


def read_reflection(text: str, *, stopped: bool) -> str:
    """The part of a reply that is about the wrong solution; empty if there is none.

    It ends before the line that begins a new solution, in any case and as a heading too. A reply
    without that line has it in its first paragraph, which is as long as it was to be, if that says
    what is wrong.
    stopped: one of `STOPS` ended the reply.
    """
    headings = (text[: found.start()] for found in _HEADING.finditer(text))
    said = next((said for said in headings if said.count("```") % 2 == 0), None)
    if said is None:
        said = _whole_lines(text) if stopped else _first_paragraph(text)
    return said.rstrip("\n \t*#_>-")  # marks of a heading go with it


def _first_paragraph(text: str) -> str:
    """The first paragraph, up to its last whole sentence, if it says what is wrong and neither
    solves nor speaks of the line."""
    said = text.strip().split("\n\n")[0]
    if not _ENDED.search(said) or said.endswith(":"):  # "The correct equation is:"
        ends = [found.end() for found in _SENTENCE.finditer(said)]
        said = said[: ends[-1]] if ends else ""
    solves = "\\boxed" in said or "```" in said or re.search(_WORDS, said, re.IGNORECASE)
    return said if _BLAMES.search(said) and not solves else ""


def _whole_lines(text: str) -> str:
    """A text that was cut without the sentence that it was cut in, such as `Here is the`."""
    before, _, last = text.rpartition("\n")
    return text if _ENDED.search(last.rstrip(" \t*#_>-")) else before

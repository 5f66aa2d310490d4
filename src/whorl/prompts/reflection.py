"""Reflections: where what a policy says of its own wrong solution ends, and a new one begins."""

import re

from whorl.answer import concluded
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
    r"|\b(?:is|was|has|contains|made|makes) an? (?:\w{1,20} )?(?:error|mistake)\b"
    r"|\b(?:is|was|are|were) (?:wrong|incorrect|not (?:right|correct))\b|[错錯误誤]|間違",
    re.IGNORECASE,
)
_DENIES = re.compile(
    r"\b(?:no|not (?:an?|any)|without(?: any)?) (?:errors?|mistakes?)\b|没有错|沒有錯|没错|無誤",
    re.IGNORECASE,
)
_PARAGRAPH = re.compile(r"\n[ \t\r]*\n")
_TITLE = re.compile(r"[^\d\n]{1,60}")  # "### Error analysis", "Let's check the solution."
_SENTENCE = re.compile(r"(?<!\be\.g)(?<!\bi\.e)[.!?](?=\s)|[。！？]")


def read_reflection(text: str, *, stopped: bool) -> str:
    """The part of a reply that is about the wrong solution; empty if there is none.

    It ends before the line that begins a new solution, in any case and as a heading too. A reply
    without that line has it in its first paragraph, a title aside, as one was asked for: if that
    says what is wrong, and as far as it does not solve the problem.
    stopped: one of `STOPS` ended the reply.
    """
    headings = (text[: found.start()] for found in _HEADING.finditer(text))
    said = next((said for said in headings if said.count("```") % 2 == 0), None)
    if said is None:
        said = _whole_lines(text) if stopped else _first_paragraph(text)
    return said.rstrip("\n \t*#_>-")  # marks of a heading go with it


def _first_paragraph(text: str) -> str:
    """The first paragraph, or where that solves the problem its first line, if it says what is
    wrong."""
    paragraph, *others = _PARAGRAPH.split(text.strip(), maxsplit=2)
    if others and _TITLE.fullmatch(paragraph.strip()) and not _BLAMES.search(paragraph):
        paragraph = others[0]
    paragraph = paragraph.strip()
    for said in map(_sentences, (paragraph, paragraph.partition("\n")[0])):
        solves = concluded(said) is not None or "boxed" in said or "```" in said
        if solves or re.search(_WORDS, said, re.IGNORECASE):
            continue
        blames = _BLAMES.search(said) and not _DENIES.search(said)
        return said if blames else ""
    return ""


def _sentences(text: str) -> str:
    """A text without the sentence that it was cut in, or that only announces what follows."""
    if _ENDED.search(text) and not text.endswith(":"):
        return text
    ends = [found.end() for found in _SENTENCE.finditer(text)]
    return text[: ends[-1]] if ends else ""


def _whole_lines(text: str) -> str:
    """A text that was cut without the sentence that it was cut in, such as `Here is the`."""
    before, _, last = text.rpartition("\n")
    return text if _ENDED.search(last.rstrip(" \t*#_>-")) else before

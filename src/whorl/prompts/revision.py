"""Revised texts without what chat models put round them: preambles, labels, fences."""

import re
from typing import Literal

from whorl.steps import unformatted

LABEL = re.compile(
    r"[\s*_#>`]{0,8}(?:(?:the |my )?(?:next|rewritten|revised|corrected|updated|improved|new|final)"
    r" (?:next )?(?:step|solution)|step \d{1,3})(?: \d{1,3})?[*_`]{0,3}(?::[*_`]{0,3}|(?=\n|$))\s*",
    re.IGNORECASE,
)
"""What names the text behind it: "Next step:", "**Step 2:**", "### Rewritten Step"."""


def read_step(text: str, original: str = "") -> str:
    """The step that a reviser's reply holds: all of it but a preamble ("Here is the rewritten
    step:"), labels ("Next step:"), and a fence round it. Labels that the `original` step begins
    with stay: they are its author's way to write."""
    text = _bare(text)
    if _marker(original):
        return text
    while label := LABEL.match(text):
        if not text[label.end() :].strip():
            break
        text = _unmarked(text[label.end() :])
    return text


def read_solution(text: str, original: str = "") -> str:
    """The solution that a reviser's reply holds: all of it but a preamble, a title and a fence
    round it. Markers of its steps stay: they are how it is written."""
    text = _bare(text)
    title = LABEL.match(text)
    if title and not re.search(r"\d", title[0]) and text[title.end() :].strip():
        text = text[title.end() :].lstrip()
    return text


def became(
    original: str, revised: str
) -> Literal["ignored critique", "formatting only", "revised"]:
    """Mark of a revised text: an echo (or nothing), a change of form alone, a revision."""
    if revised.strip() == original.strip() or not revised.strip():
        return "ignored critique"
    return "formatting only" if unformatted(revised) == unformatted(original) else "revised"


_PREAMBLE = re.compile(
    r"[\s*_#>]{0,8}(?:(?:sure|certainly|of course|okay|great|absolutely)\b[^\n]{0,200}"
    r"|(?:here|below)(?:'s| is| are)\b[^\n]{0,200}"
    r"|(?:let(?:'s| us| me)|i(?:'ll| will| have|'ve)|to (?:fix|correct|rewrite|revise))\b"
    r"[^\n]{0,120}\b(?:re-?writ|revis|rephras|critique|so far)[^\n]{0,120}"
    r"|[^\n]{0,120}\b(?:rewritten|revised|corrected|updated|improved) (?:next )?"
    r"(?:step|solution|version)[^\n]{0,80}:[*_]{0,3})[ \t]*(?:\n\s*|$)",
    re.IGNORECASE,
)
_FENCE = re.compile(
    r"```(?:text|txt|plaintext|markdown|md|latex|tex)?[ \t]*\n(.*?)\n?```\s*", re.DOTALL
)


def _bare(text: str) -> str:
    """A reply without the preambles that are lines of their own, and without a fence round it."""
    text = text.strip()
    while (preamble := _PREAMBLE.match(text)) and text[preamble.end() :].strip():
        text = text[preamble.end() :].lstrip("\n")
    if fence := _FENCE.fullmatch(text):
        text = fence[1].strip()
    return text


def _marker(text: str) -> bool:
    label = LABEL.match(text)
    return bool(label and "step" in label[0].lower() and re.search(r"\d", label[0]))


def _unmarked(text: str) -> str:
    """The text behind a label, without the end of the bold type that began before it."""
    return text.lstrip()

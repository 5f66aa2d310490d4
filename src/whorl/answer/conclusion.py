"""The end of a solution: where it boxes its answer or says in so many words what it is."""

import re

from whorl.answer.boxes import find_boxes
from whorl.answer.extract import extract


def concluded(text: str) -> str | None:
    """The final answer that a step or a solution ends with; None if it goes on, or ends without.

    The rule of all recipes: a search by steps ends a solution at the first step that concludes, and
    what a solution written whole concludes with is judged. A box that holds a blank to be filled
    in, or the word "answer" as the instructions have it, and a sentence about whether an answer is
    correct, what it would be, is not, or comes from, conclude nothing. Nor does one behind which
    the work begins ("Answer: Let's add"), or that says of what kind the answer is ("in minutes").
    """
    if not (
        "box" in text
        or "####" in text
        or "A:" in text
        or "答案" in text
        or "answer" in text.casefold()
    ):
        return None  # as most steps: without one of these `extract` finds nothing
    text = settled(text)
    for _ in range(_STATEMENTS):
        found = extract(text)
        if found is None or not _ANNOUNCED.match(found):
            return found
        text = text[: max(text.casefold().rfind(word) for word in ("answer", "答案"))]
    return None


def boxed(text: str) -> int:
    """How many boxes of a text are closed and hold something that may be an answer."""
    return sum(box.close < box.end for box in find_boxes(settled(text)))


def settled(text: str) -> str:
    """`text` without what only looks as if it stated an answer."""
    if "box{" in text or "boxed" in text:
        text = _BLANK.sub("", text)
    if "answer" in text or "Answer" in text:
        text = _PLACEHOLDER.sub("", text)
        lower = text.casefold()
        if any(word in lower for word in _DOUBTS):
            text = _CHECKED.sub(r"\1", text)
        if any(word in lower for word in _JUDGEMENTS):
            text = _JUDGED.sub("", text)
        if any(word in lower for word in _OPENINGS):
            text = _OPEN.sub(r"\1", text)
    return text


_STATEMENTS = 4  # the last ones of a step, of which an earlier one may state what they announce
_NO_VALUE = r"[^\d$\\]*$"  # nothing follows that may be the answer after all
_ANNOUNCED = re.compile(
    r"(?:(?:so|now|therefore|thus|hence|okay|ok|well|sure)[,!]?\s+)?(?:"
    r"(?:in\s+order\s+)?to\s+(?!the\b)[a-z]+\s"
    r"|let(?:['’]?s|\s+us|\s+me|\s+\S+\s+(?:be|denote|represent))\b"
    r"|(?:first|next|then)(?:ly)?,?\s+(?:we|i|you|let|find|add|compute|calculate|note)\b"
    r"|(?:we|i|you)(?:['’]ll|\s+(?:will|need\s+to|start|begin|first|use|add|know"
    r"|are\s+(?:given|told|asked|going)))\b"
    rf"|(?:we|i|you)\s+(?:have\s+to|can|must|want|should)\b{_NO_VALUE}"
    r"|(?:since|because|given|if|using|suppose|assum(?:e|ing)|consider|recall|not(?:e|ice)|observe"
    r"|remember|add|subtract|(?:multiply|divide)(?!\s+by\s+\S+$)|find|calculate|compute|determine"
    r"|solve|convert|start|simplify|adding|finding|solving)\s+\S"
    r"|by\s+[a-z]+ing\b|step\s+\d+\s*[:.,]\s*\S|here(?:['’]s|\s+(?:is|are))\b"
    r"|(?:as\s+follows|the\s+following|(?:shown\s+|given\s+)?below)\b"
    r"|(?:obtained|found|given|computed|calculated|determined|derived|expressed|written|required"
    rf"|needed|represented|rounded\s+(?:to\s+the\s+nearest|up\s*$|down\s*$))\b{_NO_VALUE}"
    rf"|(?:what|how|whether|where|why|when)\b|(?:already|now|still)\s+[a-z]{_NO_VALUE}"
    r"|(?:in|of)\s+(?!(?:its\s+|the\s+)?(?:simplest|lowest|reduced|simplified)\b.*[\d$\\])"
    r"(?:(?:the|a|its|this|that)\s+)?(?:[\w-]+\s+){0,2}(?:form|terms|format|units?)\b"
    r"|in\s+(?:(?:square|cubic)\s+)?[a-z]+s\s*(?:,|$|(?:so|and|but|not|rather|per)\b)"
    rf"|the\s+(?:sum|product|difference|quotient|total|ratio|value|amount|result)\s+of\s{_NO_VALUE}"
    r"|(?-i:[a-z])[^$\\]*,\s+(?:and\s+)?so\s+(?:we|i|you|let|try)\b)",
    re.IGNORECASE,
)  # how words begin that follow "the answer is" or "Answer:" and are none

# words without which the patterns below find nothing, looked for because that is quicker
_DOUBTS = ("check", "verif", "confirm", "ensure", "make sure", "see ", "whether")
_JUDGEMENTS = ("correct", "right", "wrong", "valid", "reasonable", "consistent", "verified")
_OPENINGS = (
    *("if ", "suppose ", "assum", "unless ", "answer is not "),
    *("obtained", "found", "given", "computed", "calculated", "determined", "derived"),
)

_BLANK = re.compile(
    r"\\(?:boxed|fbox)\s{0,4}\{"
    r"(?:\\[hv]?phantom\s{0,4}\{[^{}]{0,40}\}|\\(?:square|Box)\b|\\_|[?_\s]){1,20}\}"
)
_WORDS = (
    r"[\[<(*_\s]{0,4}(?:(?:insert|put|write|your|the|my|final|numerical|correct)[ _]){0,4}"
    r"answer(?:[ _]here)?[\])>*_\s.]{0,4}"
)
_WRITTEN = rf"(?:\\(?:text|math)[a-z]{{0,4}}\s{{0,4}}\{{{_WORDS}\}}|{_WORDS})\s{{0,4}}"
_PLACEHOLDER = re.compile(
    rf"\\{{1,2}}(?:boxed|fbox)\s{{0,4}}\{{\s{{0,4}}{_WRITTEN}\}}|(?<!\$)\${_WRITTEN}\$(?!\$)",
    re.IGNORECASE,
)  # what prompts have in a box or between dollars, copied instead of filled in
_CHECKED = re.compile(
    r"(\b(?:check|verif(?:y|ies)|confirm|ensure|make sure|see (?:if|whether|that)|whether)"
    r"(?:\s+[\w']+){0,4}?\s+)answer\b",
    re.IGNORECASE,
)
_JUDGED = re.compile(
    r"\banswer(?=\s+is\s+(?:(?:not|also|indeed|therefore|thus)\s+)?"
    r"(?:(?:in)?correct|right|wrong|(?:in)?valid|(?:un)?reasonable|(?:in)?consistent|verified)"
    r"(?:\s*[.,;:!?)]|\s*$|\s+(?:and|as|because|since|if|or|by|with|for)\b))",
    re.IGNORECASE | re.MULTILINE,
)
_OPEN = re.compile(
    r"(\b(?:if|suppose|assum(?:e|ing)|unless)\s+(?:that\s+)?(?:(?:the|our|my|this|final)\s+){0,3})"
    r"answer(?=\s+(?:is|was|were)\b)"
    r"|\banswer(?=\s+is\s+not\s+(?:\$|\\\(|\\boxed\{)?\s?-?\d)"
    r"|\banswer(?=\s+is\s+(?:obtained|found|given|computed|calculated|determined|derived)\s+"
    r"(?:by|from|as|in|using|when|with)\b)",
    re.IGNORECASE,
)

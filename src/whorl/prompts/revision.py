"""Revised texts without what chat models put round them: preambles, labels, fences, and what they
repeat of the request."""

import re
from typing import Literal

from whorl.answer import concluded
from whorl.prompts.forms import LATEX
from whorl.prompts.unsaid import is_none
from whorl.prompts.wrapping import boxed_behind, unwrapped, without_remarks
from whorl.steps import unformatted
from whorl.tree import Mark, Tree


def read_step(text: str, original: str = "", prefix: str = "") -> str:
    """The step that a reviser's reply holds: the whole of it without a preamble ("Here is the
    rewritten step:"), labels ("Next step:", "Step 2:"), a fence round it, and what it repeats of
    the solution so far, `prefix`, before it, and of the critique behind it. "Step k:" stays if the
    `original` begins so, for that is how its author writes, or if it is one of several. Empty if
    the reply is a word for nothing."""
    text = _NEXT.sub("", _behind_prefix(prefix, _bare(text)))
    if not _OPTION.search(original):  # else it is options that the step compares
        text = _first_of_titled(text)
    if is_none(text):
        return ""
    titled = _TITLE.match(text) is not None
    if not _NUMBERED.match(original) and len(_NUMBERED_LINE.findall(text)) <= 1:
        text = _without(_NUMBERED, _without(_TITLE, text))
    return without_remarks(unwrapped(text), titled=titled)


def read_solution(text: str) -> str:
    """The solution that a reviser's reply holds, as `read_step`; the markers of its steps stay."""
    return without_remarks(unwrapped(_without(_TITLE, _bare(text))), titled=False)


def became(
    original: str, revised: str
) -> Literal["ignored critique", "formatting only", "revised"]:
    """Mark of a revised text: an echo (or nothing), a change of form alone, a revision."""
    if revised.strip() == original.strip() or not revised.strip():
        return "ignored critique"
    return "formatting only" if unformatted(revised) == unformatted(original) else "revised"


def ending(step: str) -> Literal["eos", "stop"]:
    """How a revised step ends: the solution, if it states the answer."""
    return "stop" if concluded(step) is None else "eos"


def made_of(tree: Tree, end: int) -> list[Mark]:
    """Marks of what the reviser made of the steps of a solution. Only its own text is cut off, or
    ends without an answer that can be judged: the end of what it left as it was is decided."""
    steps = [tree.nodes[i] for i in tree.path(end) if tree.nodes[i].author == "reviser"]
    marks: list[Mark] = ["revised" if s.mark == "cut off" else s.mark for s in steps if s.mark]
    if steps and steps[-1].mark in ("no answer", "undecided") and "revised" not in marks:
        marks.append("revised")  # in its place stands what judging said
    return marks


def _bare(text: str) -> str:
    """A reply without the lines before what was asked for, and those that repeat the request
    behind it."""
    text = _behind_original(_behind_request(text.strip()))
    if (repeated := _REPEATED.search(text)) and text[: repeated.start()].strip():
        text = text[: repeated.start()].rstrip()
    text, start = _without_torn_request(_OUTCOME.sub("", text).rstrip()), 0
    while (end := text.find("\n", start)) >= 0 and _preamble(text[start:end]):
        start = end + 1
    return unwrapped(text[start:]).strip()


def _behind_request(text: str) -> str:
    """A reply that begins with the request itself, from the label on under which it answers."""
    labels = _NEXT.finditer(text) if _REPEATED.match(text) else ()
    return next((text[label.start() :] for label in labels if text[label.end() :].strip()), text)


def _behind_original(text: str) -> str:
    """A reply from the first title of a revised text on, if what stands before that is the original
    or speaks of it or of the critique."""
    found = _REVISED_LINE.search(text)
    spoken = found and _SPOKEN_OF.search(text[: found.start()])
    return text[found.start() :] if found and spoken and text[found.end() :].strip() else text


def _behind_prefix(prefix: str, text: str) -> str:
    """The part of a reply behind a repetition of the solution so far: behind the label of the
    next step or, without one, behind paragraphs that repeat most of that solution. Empty if the
    whole reply repeats it."""
    if not prefix:
        return text
    whole = known = start = 0
    for label in _NEXT.finditer(text):
        own = _told(prefix, text[start : label.start()])
        whole, known, start = whole + own[0], known + own[1], label.start()
        if whole >= _REPETITION and _mostly(whole, known):
            return text[label.end() :]
    whole = known = start = behind = 0
    for end, after in (*(gap.span() for gap in _GAP.finditer(text)), (len(text), len(text))):
        own = _told(prefix, text[start:end])
        whole, known, start = whole + own[0], known + own[1], after
        repeated = whole >= _REPETITION and _mostly(whole, known) and _mostly(*own)
        if repeated and (10 * end >= 7 * len(prefix.strip()) or after == len(text)):
            behind = after
        elif behind:
            break
    return text[behind:]


def spaced(text: str, original: str) -> str:
    """A rewritten step between the original's blanks, which keep it apart from its neighbours where
    steps end at no string."""
    before, _, after = original.partition(original.strip())
    return before + text + after


def _told(prefix: str, text: str) -> tuple[int, int]:
    """The characters of a text's lines and sentences, and of those that `prefix` has too."""
    pieces = [piece.strip() for piece in _SENTENCE.split(text)]
    return sum(map(len, pieces)), sum(len(piece) for piece in pieces if piece in prefix)


def _mostly(whole: int, known: int) -> bool:
    return 10 * known >= 7 * whole


def _without_torn_request(text: str) -> str:
    """A reply without a repetition of the request that was cut off at the end of its tokens."""
    rest, _, last = text.rpartition("\n\n")
    torn = rest and last and any(request.startswith(last) for request in _REQUESTS)
    return rest.rstrip() if torn else text


def _preamble(line: str) -> bool:
    """Whether a line speaks of the rewriting and not of the problem."""
    bare = line.strip(" \t*_#>-")
    sums = _SUM.search(bare) and not bare.endswith((":", "："))
    computes = "=" in bare or sums or _TIGHT.search(bare)
    if not bare or len(bare) > 200 or computes:
        return not bare
    if _YES.fullmatch(bare):
        return True
    if any(label.match(line) for label in (_NEXT, _NUMBERED, _TITLE)):
        return False  # it names what follows
    opens = _OPENING.match(bare) is not None or bare.endswith((":", "："))
    return opens and _REWRITING.search(bare) is not None


def _first_of_titled(text: str) -> str:
    """A reply that begins with a title ("Corrected step:", "Option 1:"), up to the next line that
    does: a second try at what is there already. One whose only box comes later is a whole."""
    for title, line in ((_OPTION, _OPTION), (_TITLE, _TITLE_LINE)):
        found = title.match(text)
        again = line.search(text, found.end()) if found else None
        if found and again and not boxed_behind(text, again.start()):
            start = found.end() if title is _OPTION else 0
            return text[start : again.start()].rstrip() or text
    return text


def _without(label: re.Pattern[str], text: str) -> str:
    """`text` without the label it begins with, if anything follows that."""
    found = label.match(text)
    return text[found.end() :] if found and text[found.end() :].strip() else text


_REPETITION = 40  # characters: with fewer nothing is said to be repeated
_GAP = re.compile(r"\n[ \t]*\n\s*")
_SENTENCE = re.compile(r"(?<=[.:;])\s+|\n")
_MARKUP = rf"[ \t*_#>`]{{0,8}}(?:{LATEX})?"
_COLON = r"[*_}]{0,3}[:：][*_}]{0,3}"
_ENDED = rf"(?:{_COLON}|[*_}}]{{0,3}}(?=\n))\s*"
_BETTER = r"(?:re-?written|revised|corrected|updated|improved)"
_BETTER_ZH = r"(?:修改|修正|更正|重写|改写|修订)后的?(?:下一)?(?:步骤?|解答|解法|解)"
_STEP = r"(?:Next step|Step (?:under review|to rewrite))"  # as requests call it
_NEXT = re.compile(rf"(?m)^{_MARKUP}(?:{_STEP}|下一步){_COLON}[ \t]*\n?", re.IGNORECASE)
_NUMBERED = re.compile(
    rf"{_MARKUP}(?:Step(?: #?\d{{1,3}})?|第 ?\d{{1,3}} ?步|步骤 ?\d{{1,3}}){_ENDED}", re.IGNORECASE
)
_NUMBERED_LINE = re.compile(rf"(?m)^{_NUMBERED.pattern}", re.IGNORECASE)
_NAMED = r"(?: next)? (?:step|solution|version)(?: \d{1,3})?"
_IS = r"(?: (?:is|should be|would be|reads|becomes)(?: as follows)?(?=[*_]{0,3}:))?"
_TITLE = re.compile(
    rf"{_MARKUP}(?:the |my |a )?(?:(?:{_BETTER}|new|final){_NAMED}{_IS}|{_BETTER}(?={_COLON})"
    rf"|next step (?:is|should be)(?=:)|{_BETTER_ZH}){_ENDED}",
    re.IGNORECASE,
)
_TITLE_LINE = re.compile(rf"(?m)^{_TITLE.pattern}", re.IGNORECASE)
_REVISED_LINE = re.compile(
    rf"(?m)^{_MARKUP}(?:(?:the |my |a )?{_BETTER}(?:{_NAMED}{_IS}|(?={_COLON}))|{_BETTER_ZH})"
    rf"{_ENDED}",
    re.IGNORECASE,
)
_SPOKEN_OF = re.compile(
    rf"\b(?:critique|feedback|original (?:step|solution))\b|\A{_MARKUP}Original{_COLON}"
    "|原步骤|原解|批评",
    re.IGNORECASE,
)
_OPTION = re.compile(
    rf"(?m)^{_MARKUP}(?:Option|Version|Alternative|Revision) (?:[12AB]){_ENDED}", re.IGNORECASE
)
_YES = re.compile(
    r"(?:sure|certainly|of course|okay|ok|understood)\b[!.,: ]*"
    r"|you(?:['’]re| are) (?:absolutely |quite )?(?:right|correct)\b[!.,: ]*"
    r"|(?:i apologi[sz]e|i['’]m sorry|(?:my )?apologies|sorry|thanks? (?:you )?for)\b.*"
    r"|your (?:critique|edit|feedback|review|suggestion)s?\b.*"
    r"|the (?:solution|step)s?\b[^.]*\b(?:re-?written|revised|rephrased)\b[^.]*\.?",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"(?:sure|certainly|of course|okay|ok|here|below|let's|let us|let me|i|i'll|i've|this is|to)\b",
    re.IGNORECASE,
)
_REWRITING = re.compile(
    r"\b(?:re-?writ\w+|revis(?:e|ed|ing|ion)|rephras\w+|solution so far|the critique"
    r"|(?:corrected|updated|improved|refined|modified) (?:step|solution|version)"
    r"|next (?:step|solution|version)(?! is\b))\b|(?:修改|修正|更正|重写|改写|修订)后?",
    re.IGNORECASE,
)
_SUM = re.compile(r"\d [-+*/×÷] \d")
_TIGHT = re.compile(r"\d[+*×·^]\d")
_REPEATED = re.compile(
    rf"(?m)^{_MARKUP}(?:(?:Critique|Errors|Missing|Avoid|Suggestion|Verdict|Alternatives)[*_]{{0,3}}:"
    rf"|(?:{_STEP}: ?)?(?:Problem|Solution so far)[*_]{{0,3}}:"
    r"|(?:Rewrite|Review) (?:the|every|that) (?:(?:next |previous )?step|solution)"
    r"(?:, and nothing that comes after it)?\.?[ \t]*$)",
)
_REQUESTS = (
    "Rewrite the next step.",
    "Rewrite the previous step.",
    "Rewrite the solution.",
    "Rewrite that step, and nothing that comes after it.",
)
_OUTCOME = re.compile(r"(?<![ \t])[ \t]*\[Q -?\d(?:\.\d)?\](?=\s|$)")

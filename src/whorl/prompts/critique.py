"""Critiques of a step: the form in which a critic is asked for them, and a reader of replies."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from whorl.prompts.forms import in_lines, name_of
from whorl.prompts.objects import fields_by_step, fields_of
from whorl.prompts.unsaid import says_nothing, without_form
from whorl.steps import paragraphs

Decision = Literal["keep", "edit", "replace"]

FORM = {
    "expected": "what the step should establish, worked out by yourself before you judge it",
    "errors": "wrong statements, gaps or wrong conclusions in it, separated by semicolons, or none",
    "missing": "what the alternatives have and it lacks, separated by semicolons, or none",
    "avoid": "mistakes of the alternatives that must not be taken over, separated by semicolons, "
    "or none",
    "suggestion": "one concrete change, or none",
    "verdict": "keep, edit or replace",
}
"""The fields of a critique in the order in which a critic is asked for them, and what stands behind
each; a small model may copy that instead of filling it in."""

_NAMES = tuple(FORM)


@dataclass(frozen=True, slots=True)
class Critique:
    """A critic's remarks on one step (SIGMA, 2506.06470; the fields are ours).

    expected: what the step should establish, worked out afresh; asked for first, because a critic
        that recomputes before it judges judges better (docs/log.md).
    errors, missing, avoid: mistakes of the step, what its siblings have and it lacks, mistakes of
        the siblings not to fall into.
    suggestion: one concrete change; empty if none.
    verdict: what to do with the step; None if the critic gave none that can be read.
    prose: what it said outside of these fields.
    """

    expected: str = ""
    errors: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()
    suggestion: str = ""
    verdict: Decision | None = None
    prose: str = ""

    @property
    def empty(self) -> bool:
        """Whether nothing was said."""
        return self == Critique()

    @property
    def fields(self) -> bool:
        """Whether any of the fields that a critic is asked for was filled in, the verdict aside."""
        return any((self.expected, self.errors, self.missing, self.avoid, self.suggestion))


def write_critique(critique: Critique) -> str:
    """The critique in the form a critic is asked to write it, without its prose."""
    return "\n".join(
        (
            f"Expected: {critique.expected or 'none'}",
            f"Errors: {_listed(critique.errors)}",
            f"Missing: {_listed(critique.missing)}",
            f"Avoid: {_listed(critique.avoid)}",
            f"Suggestion: {critique.suggestion or 'none'}",
            f"Verdict: {critique.verdict or 'none'}",
        )
    )


def write_critiques(critiques: Sequence[Critique]) -> str:
    """One critique per step, each under its number, as a critic of a whole path is asked to."""
    return "\n\n".join(f"Step {k}:\n{write_critique(c)}" for k, c in enumerate(critiques, start=1))


def read_critique(text: str) -> Critique:
    """Read a critic's reply on one step: lines that begin with a field's name, also as headings, in
    bold, in a list or a table, and what follows them up to the next one; or JSON. What is neither
    is prose. Of several whole forms, the last with a verdict counts: the critic thought again. One
    behind the name of an alternative is about that. Nothing is raised and nothing is lost but
    the markup round it."""
    if fields := fields_of(text, _NAMES):
        return _critique(fields)
    forms: list[dict[str, list[str]]] = [{}]
    label = ""
    text = _INLINE.sub(lambda found: found[1] or "\n", in_lines(text, _NAMES))
    for line in text.splitlines():
        name, rest = field_of(line)
        if name and "verdict" in forms[-1] and name == next(filter(None, forms[-1])):
            if _OF_ANOTHER.search("\n".join(forms[-1]["verdict"])):
                break
            forms.append({})
        label = name or label
        forms[-1].setdefault(label, [""]).append(rest)
    read = [_critique({label: "\n".join(said) for label, said in form.items()}) for form in forms]
    return next((critique for critique in reversed(read) if critique.verdict), read[0])


def repeats_request(text: str, step: str = "") -> bool:
    """Whether a critic's reply repeats what it was shown instead of speaking of it: from the start
    on, or the solution so far and then, under its label, the `step`."""
    if _REQUEST.search(text):
        return True
    begins = step.strip()[:_ALIKE]
    return any(begins and text[label.end() :].startswith(begins) for label in _LABEL.finditer(text))


def field_of(line: str) -> tuple[str, str]:
    """The field that a line of a critique begins with, and what follows its name; no name and the
    whole line if it begins with none."""
    match = _FIELD.match(line)
    return (name_of(match["name"], _NAMES), match["rest"]) if match else ("", line)


def read_critiques(text: str, steps: int) -> list[Critique]:
    """Read a reply on a whole path, cut where it names a step, or into the points of a list that
    counts them: `steps` critiques, empty where one was left out. A reply that does neither is read
    as the first step's, and so is what it says of the whole before it comes to a step."""
    if found := fields_by_step(text, _NAMES):
        return [_critique(found.get(k, {})) for k in range(1, steps + 1)]
    text = in_lines(text, _NAMES)
    before, numbers, said = _cut(_STEP, text)
    if not set(numbers) & set(range(1, steps + 1)):
        before, numbers, said = _cut(_POINT, text)
        counted = all(n in (1, before + 1) for before, n in pairwise((0, *numbers)))
        names = [field_of(point.partition("\n")[0])[0] for point in said]
        form = all(names) and len(set(names)) == len(names)  # one step's fields, numbered
        if len(numbers) < 2 or not counted or form:
            before, numbers, said = "", [1], [text]
    by_number: dict[int, list[str]] = {1: [_of_all(before)]}
    for number, piece in zip(numbers, said, strict=True):
        by_number.setdefault(number, []).append(piece)
    return [read_critique("\n".join(by_number.get(k, ()))) for k in range(1, steps + 1)]


def _of_all(text: str) -> str:
    """The words before the first step of a path, if they say more than what is to follow."""
    said = (part for part in paragraphs(text) if not _ANNOUNCED.match(part))
    return "\n\n".join(said)


def _cut(mark: re.Pattern[str], text: str) -> tuple[str, list[int], list[str]]:
    """The text before the first mark, the numbers that marks name, and what follows each."""
    pieces = mark.split(text)
    return pieces[0], [int(number) for number in pieces[1::2]], pieces[2::2]


_NUMBER = r"(?:\d{1,2}|[a-z]|[ivx]{1,4})[.)]"
"""Number of a point in a list; a bracket before it is markup like any other."""

_FIELD = re.compile(
    rf"\W{{0,8}}(?:{_NUMBER}\W{{0,4}})?(?:final |overall )?"
    r"(?P<name>Expected|Errors?|Missing|Avoid|Suggestions?|Verdict)\b"
    r"(?: (?:in|of|from) [^\n:]{1,40}|\s?\([^)\n]{1,60}\))?"
    r"(?:[^\w\n:]{0,8}:|[^\w\n]{0,8}$|\s+[-–—=]\s)(?P<rest>.*)",
    re.IGNORECASE,
)
_STEP = re.compile(
    r"(?m)^\W{0,8}(?:\d{1,2}[.)]\W{0,4})?Step #?(\d{1,4})\b[^\w\n]{0,8}", re.IGNORECASE
)
_POINT = re.compile(r"(?m)^[*_#> ]{0,4}(\d{1,3})[.)]\s")
_INLINE = re.compile(
    rf"^([^\w\n]{{0,8}}(?i:{_NUMBER}))"  # the number of a line's own field ends no field
    rf"|[;.][ \t]+(?:\(?(?i:{_NUMBER})[ \t]+)?(?=(?:Errors|Missing|Avoid|Suggestion|Verdict):)",
    re.MULTILINE,
)
_CALLED = "(?:Next step|Step under review)"  # the step, in requests
_REQUEST = re.compile(
    rf"\A\W{{0,8}}(?:Problem|Solution so far|{_CALLED}|Alternatives)[*_]{{0,3}}:"
    rf"|(?m:^[ \t*_#>]{{0,8}}{_CALLED}: Problem:)"
    r"|(?m:^[ \t*_#>]{0,8}Review (?:the next|every|that) step\.[ \t*_]*$)"
)
_LABEL = re.compile(rf"(?m)^[*_#> ]{{0,8}}{_CALLED}[*_]{{0,3}}:[*_]{{0,3}}\s{{0,3}}", re.IGNORECASE)
_ALIKE = 40  # characters at the beginning of a step by which a copy of it is known
_ITEM = re.compile(r"\s*(?:[-*+•]|\(?(?:\d{1,2}|[a-z])[.)])\s+")
_COPIES = frozenset((*FORM.values(), *(text.removeprefix("what ") for text in FORM.values())))
_WORD = re.compile(
    r"\b(not |no |don't |cannot )?(?:be )?(keep|kept|edit|edited|replace|replaced)\b"
    r"|(不|无需|不要)?(保留|修改|替换)"
)
_ANNOUNCED = re.compile(
    r"(?:sure|certainly|of course|okay|ok|here|below|let['’]?s|let me|i will|i['’]ll|to review)\b"
    r"|[*_#\s]*(?:step[- ]by[- ]step )?(?:review|critique|analysis|feedback|outline)\b[^.\n]*\Z"
    r"|[^\n]*[:：][*_ ]*\Z|[-*_=]+\Z",
    re.IGNORECASE,
)
_OF_ANOTHER = re.compile(r"\b(?:alternative|sibling|candidate)s?\b", re.IGNORECASE)
_DECIDED = re.compile(r"\W*(keep|edit|replace)\b[*_\"'` ]*(?:[(\[:.–—]| - |because\b|since\b|as\b)")
_VERDICTS: Mapping[str, Decision] = {
    "keep": "keep",
    "kept": "keep",
    "edit": "edit",
    "edited": "edit",
    "replace": "replace",
    "replaced": "replace",
    "保留": "keep",
    "修改": "edit",
    "替换": "replace",
}


def _critique(fields: Mapping[str, str]) -> Critique:
    own = {name: _items(fields.get(name, "")) for name in FORM}
    verdict = _verdict(fields.get("verdict", ""))
    unread = () if verdict else own["verdict"]
    return Critique(
        expected="; ".join(own["expected"]),
        errors=own["errors"],
        missing=own["missing"],
        avoid=own["avoid"],
        suggestion="; ".join(own["suggestion"]),
        verdict=verdict,
        prose="\n".join(filter(None, (_prose(fields.get("", "")), *unread))),
    )


def _verdict(text: str) -> Decision | None:
    """The verdict of the first line that says anything; None if it names none, or several."""
    line = next((line for line in text.lower().splitlines() if re.search(r"\w", line)), "")
    if decided := _DECIDED.match(line):
        return _VERDICTS[decided[1]]
    words = _WORD.findall(line)
    found = {_VERDICTS[w or zh] for negated, w, negated_zh, zh in words if not negated + negated_zh}
    return found.pop() if len(found) == 1 else None


def _listed(items: Sequence[str]) -> str:
    return "; ".join(items) or "none"


def _prose(text: str) -> str:
    """A field's text without the markup round it; empty if it says that there is nothing."""
    bare = re.sub(r"^[\s*_`]+|[\s*_`]+$", "", text)
    return "" if says_nothing(bare, _COPIES) else bare


def _items(text: str) -> tuple[str, ...]:
    """The entries of a list: by semicolons, and by the lines below its label that are bullets."""
    entries: list[list[str]] = []
    for number, line in enumerate(text.strip("\n").splitlines()):
        bullet = _ITEM.match(line) if number or text.startswith("\n\n") else None
        if bullet or not entries:
            entries.append([line[bullet.end() :] if bullet else line])
        else:
            entries[-1].append(line)
    pieces = (piece for entry in entries for piece in "\n".join(entry).split(";"))
    return tuple(item for piece in pieces if (item := _prose(without_form(piece))))

"""Entries of a critique that say nothing: "none", a denial, or a copy of the form."""

import re
from collections.abc import Collection
from difflib import SequenceMatcher

COPIED = 0.6
"""Share of an entry's words that stand in the form in a row: an entry with more is a copy of it."""
FEWEST, MOST = 3, 40
"""Words of what may be a copy: one or two may be an answer, and more are not in the form."""


def without_form(entry: str) -> str:
    """An entry without what a small model copies behind it: ", separated by semicolons, or none"
    and an outcome as "[Q -1.0]"."""
    told = _OUTCOME.search(entry)
    return _TAIL.sub("", entry[: told.start()].rstrip(" \t") if told else entry)


def is_none(text: str) -> bool:
    """Whether a whole text is a word for nothing, such as "None." or "n/a"."""
    return _NONE.fullmatch(text.strip(" .。\"'*_`\n").lower()) is not None


def says_nothing(entry: str, form: Collection[str]) -> bool:
    """Whether an entry says that there is nothing to say, in a word or in a sentence without a but,
    or repeats what the `form` has behind a label."""
    bare = entry.strip(" .\"'").lower()
    if not bare or is_none(bare) or bare in form:
        return True
    if _DENIAL.fullmatch(bare) and not _BUT.search(bare):
        return True
    words = _WORD.findall(bare)
    if not FEWEST <= len(words) <= MOST:
        return False
    runs = (SequenceMatcher(None, words, _WORD.findall(f), autojunk=False) for f in form)
    return any(run.find_longest_match().size > COPIED * len(words) for run in runs)


_WORD = re.compile(r"\w+")
_OUTCOME = re.compile(r"\[Q -?\d(?:\.\d)?\]\s*\Z")
_TAIL = re.compile(r"(?:,? separated by semicolons(?:,? or none)?|, or none)\.?\s*\Z")
_NONE = re.compile(
    r"无|没有|(?:none|no|n/a|null|nothing)"
    r"(?: (?:is |are )?(?:needed|found|identified|noted|missing|required|to avoid))?"
)
_DENIAL = re.compile(
    r"(?:there (?:are|is|were|was) )?(?:no|not any) (?:\w+ ){0,2}"
    r"(?:errors?|mistakes?|gaps?|faults?|issues?|alternatives?|changes?|suggestions?|steps?)"
    r"(?: [^;:=\d]{0,90})?"
)
_BUT = re.compile(r"\b(?:but|however|except|although|yet)\b")

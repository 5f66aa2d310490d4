"""A math problem with a known final answer: the ground everything else stands on."""

import hashlib
import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem: a question with its gold answer.

    id: unique within a run; seeds and journal entries derive from it.
    question: the text shown to a model.
    answer: the final answer only, e.g. `18` or `\\frac{1}{2}`.
    source, split, level, subject: where it came from; carried along for reports, empty when
        unknown.
    """

    id: str
    question: str
    answer: str
    source: str = ""
    split: str = ""
    level: str = ""
    subject: str = ""


def plain(question: str) -> str:
    """The words of a text in lower case, and the signs that formulas compute with: 2+2 is not
    2-2."""
    return " ".join(_WORD_OR_SIGN.findall(question.casefold().translate(_MINUS)))


def fingerprint(question: str) -> str:
    """Name of a question's `plain` wording, 16 hex digits; empty if it has no words."""
    wording = plain(question).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(wording, digest_size=8).hexdigest() if wording else ""


_WORD_OR_SIGN = re.compile(r"[^\W_]+|[-+*/^=<>]")
_MINUS = str.maketrans("−–", "--")

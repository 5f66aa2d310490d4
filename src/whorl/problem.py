"""A math problem with a known final answer: the ground everything else stands on."""

import hashlib
import re
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem: a question with its gold answer.

    id: unique within a run; seeds and journal entries derive from it.
    question: the text shown to a model.
    answer: the final answer only, e.g. `18` or `\\frac{1}{2}`; what `check` reads.
    source, split, level, subject: where it came from; carried along for reports, empty when
        unknown.
    check: what makes an answer right, one of `whorl.answer.checks.CHECKS`; `answer`: that it says
        the same.
    """

    id: str
    question: str
    answer: str
    source: str = ""
    split: str = ""
    level: str = ""
    subject: str = ""
    check: str = "answer"

    def record(self) -> dict[str, str]:
        """Its fields, as files keep them: without a check that is the usual one."""
        row = asdict(self)
        if self.check == "answer":
            del row["check"]
        return row


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

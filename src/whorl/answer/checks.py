"""Kinds of check, which say what makes an answer right."""

from collections.abc import Callable

from whorl.answer import countdown
from whorl.answer.conventions import Verdict
from whorl.answer.equal import compare

Check = Callable[[str, str], Verdict]
"""The verdict on an answer, beside what the problem says of right ones (`Problem.answer`). What it
leaves undecided is put to the role `judge` where answers are compared, and stays so elsewhere."""

ANSWER = "answer"
"""The check of a problem that names none: the answer says the same as the gold answer."""

CHECKS: dict[str, Check] = {ANSWER: compare, "countdown": countdown.check}


def fault(check: str, gold: str) -> str:
    """The reason why a problem cannot be checked so, in one line; empty if it can."""
    if check not in CHECKS:
        return f"no check {check!r}; there are {', '.join(CHECKS)}"
    if check == "countdown":
        return countdown.fault(gold)
    return ""

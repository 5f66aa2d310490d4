"""Solutions that speak of what their writer alone was shown: a critique, an original that was to be
rewritten, a reference answer, or answers that are wrong. Who learns from them never sees that."""

import re
from collections.abc import Sequence
from itertools import permutations


def speaks_of_unseen(text: str, question: str, told: Sequence[str] = ()) -> bool:
    """Whether a solution speaks of more than its question: of a critique, another solution, a
    reference, or of answers `told` to its writer, which it calls wrong or lists. Words that the
    question has too are no sign, nor is it one to speak of choices that the question offers."""
    common, offered = question.lower(), set(_OFFERED.findall(question))

    def own(found: re.Match[str] | None) -> bool:
        if found is None or (offered and _CHOICES.search(found[0])):
            return False
        return found[0].lower() not in common

    if any(own(found) for found in _UNSEEN.finditer(text)):
        return True
    unseen = [answer for answer in told if answer.strip("()") not in offered]
    answers = [rf"(?<![\w.]){re.escape(answer)}(?![\w]|\.\d)" for answer in unseen]
    # x = 2 or 3: the roots of an equation
    if any(own(re.search(f"(?<!= ){a} or {b}", text)) for a, b in permutations(answers, 2)):
        return True
    return any(
        any(own(found) for found in _WRONG.finditer(sentence))
        and any(re.search(answer, sentence) for answer in answers)
        for sentence in _SENTENCE.split(text)
    )


_OFFERED = re.compile(r"\(([A-H])\)")  # the letter of a choice, as AQuA's questions have them here
_CHOICES = re.compile(r"option|choice", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.:;!?])\s+|\n")
_OF_MATHS = (  # what follows the solution of an equation, or one in a glass
    r",? which| of\b| to\b| in\b"
    r"| (?:is|has|contains|are|were) (?:\d|negative|extran|compl|imag|inval)"
)
_UNSEEN = re.compile(
    r"\b(?:critiques?|feedback|(?:the|your) reviewer|reference (?:answer|solution)"
    r"|(?:original|rewritten|revised|corrected) (?:step|solution)s?"
    r"|(?:previous|earlier) (?:rewrite|attempt|revision)s?"
    rf"|(?:previous|earlier|given|provided|listed) solutions?\b(?!{_OF_MATHS})"
    r"|(?:re-?write|review) (?:the|every|that) (?:(?:next|previous) )?(?:step|solution)"
    r"|step (?:under review|to rewrite)|the alternatives"
    r"|(?:suggestions?|advice) (?:for|on)|step is (?:also |already )?(?:well|clear)"
    r"|others (?:have |also )?(?:found|got|answered)|others['’] (?:answer|solution|result)s?"
    r"|(?:all|some) of (?:it|that|those|these|them) (?:is|are|was|were) (?:wrong|incorrect)"
    r"|(?:given|provided|listed) (?:answer|option|choice)s?"
    rf"|(?<!no )(?<!any )other (?:solutions\b(?!{_OF_MATHS})|answers?|(?:option|choice)s))\b"
    r"|^[*_#> -]{0,8}(?:alternatives|suggestions?|verdict)[*_]{0,3}:"
    r"|批评意见|反馈|原步骤|原解答|参考答案|其他人",
    re.IGNORECASE | re.MULTILINE,
)
# A root may be invalid, and a triangle not a right one, in any solution.
_WRONG = re.compile(
    r"\b(?:wrong|incorrect(?:ly)?|mistaken|not(?: a| the)? (?:correct|right(?![ -]?(?:angle|tri))))"
    r"\b|错",
    re.IGNORECASE,
)

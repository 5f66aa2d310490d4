"""Solutions that speak of what their writer alone was shown: a critique, an original that was to be
rewritten, a reference answer, or answers that are wrong. Who learns from them never sees that."""

import re
from collections.abc import Sequence
from itertools import permutations


def speaks_of_unseen(text: str, question: str, told: Sequence[str] = ()) -> bool:
    """Whether a solution speaks of more than its question: of a critique, another solution, a
    reference, or of answers `told` to its writer, which it calls wrong or lists. Words that the
    question has too are no sign."""
    common = question.lower()

    def own(found: re.Match[str] | None) -> bool:
        return found is not None and found[0].lower() not in common

    if any(own(found) for found in _UNSEEN.finditer(text)):
        return True
    answers = [rf"(?<![\w.]){re.escape(answer)}(?![\w]|\.\d)" for answer in told]
    if any(own(re.search(f"{a} or {b}", text)) for a, b in permutations(answers, 2)):
        return True
    return any(
        any(own(found) for found in _WRONG.finditer(sentence))
        and any(re.search(answer, sentence) for answer in answers)
        for sentence in _SENTENCE.split(text)
    )


_SENTENCE = re.compile(r"(?<=[.:;!?])\s+|\n")
_UNSEEN = re.compile(
    r"\b(?:critiques?|feedback|(?:the|your) reviewer|reference (?:answer|solution)"
    r"|(?:original|rewritten|revised|corrected) (?:step|solution)s?"
    r"|(?:previous|earlier) (?:solution|rewrite|attempt|revision)s?"
    r"|(?:re-?write|review) (?:the|every) (?:(?:next|previous) )?(?:step|solution)|the alternatives"
    r"|(?:suggestions?|advice) (?:for|on)|step is (?:also |already )?(?:well|clear)"
    r"|others (?:have |also )?(?:found|got|answered)|others['’] (?:answer|solution|result)s?"
    r"|(?:all|some) of (?:it|that|those|these|them) (?:is|are|was|were) (?:wrong|incorrect)"
    r"|(?:other|given|provided|listed) (?:answer|option|choice|solution)s?)\b"
    r"|^[*_#> -]{0,8}(?:alternatives|suggestions?|verdict)[*_]{0,3}:"
    r"|批评意见|反馈|原步骤|原解答|参考答案|其他人",
    re.IGNORECASE | re.MULTILINE,
)
_WRONG = re.compile(
    r"\b(?:wrong|incorrect(?:ly)?|mistaken|invalid|not(?: a| the)? (?:correct|right|valid))\b|错",
    re.IGNORECASE,
)

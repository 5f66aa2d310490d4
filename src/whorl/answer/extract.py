"""The final answer that a text states."""

import re

from whorl.answer.boxes import BRACES, find_boxes, listed
from whorl.answer.conventions import LONGEST
from whorl.answer.equal import equal
from whorl.answer.numbers import number
from whorl.answer.plain import TEXT_MACRO, normalise

_PHRASE = re.compile(
    r"answer\s*(?:is\b|:)\s*:?\s*|^#+[ \t]*(?:final[ \t]+)?answer[ \t]*\n\s*",
    re.IGNORECASE | re.MULTILINE,
)
_FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+)\$(?!\d)|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_SENTENCE = re.compile(r"[.!?](?=\s|$)|,?\s(?:because|since|which|where)\s")
_VERB = re.compile(r"[a-zA-Z]+[ ,].*\b(?:is|are|equals)\b\s*:?\s*(?=\S)")
_LAST_LINE = re.compile(r"(?:A:|(?:.*\s)?####)\s*([^#]+)")
_CHAT_TOKEN = re.compile(
    r"<\|(?:im_start|im_end|endoftext|end_of_text|eot_id|start_header_id|end|user|system)\|>"
    r"|</s>|\[INST\]"
)
_NEXT_QUESTION = re.compile(
    r"^[ \t]*(?:#+[ \t]*|\*\*)?(?:Question|Problem|Exercise|Instruction|Q|Human|User)(?:\*\*)?:",
    re.MULTILINE,
)


def extract(text: str) -> str | None:
    """The final answer a solution states: the box that closes last, with the boxes it is listed
    with (`\\boxed{1}` and `\\boxed{2}`); else what follows the last "answer is" or "answer:"; else
    the number on a last line `#### 5` or `A: 5`. None if there is none of these: a last number is
    not a statement. What follows the first solution is not read.
    """
    text = first_solution(text)
    boxes = find_boxes(text)
    return listed(text, boxes, equal) if boxes else _stated(text)


def first_solution(text: str) -> str:
    """`text` up to where its writer turns to something else: a token of a chat template or, once
    an answer is stated, a line that opens another question (`Question:`, `Q:`, `Problem:`). A
    numbered one, `Question 2:`, may be a part of the same problem and ends nothing.
    """
    # Most texts are steps with nothing of the kind, so what a pattern needs is looked for first.
    for token in _CHAT_TOKEN.finditer(text) if "<" in text or "[INST]" in text else ():
        if not text[: token.start()].isspace() and token.start():
            text = text[: token.start()]
            break
    if ":" not in text or not _NEXT_QUESTION.search(text):
        return text
    phrase = _PHRASE.search(text)
    stated = [box.end for box in find_boxes(text)[:1]] + ([phrase.end()] if phrase else [])
    following = _NEXT_QUESTION.search(text, min(stated)) if stated else None
    return text[: following.start()] if following else text


def _stated(text: str) -> str | None:
    last = text.rstrip().rpartition("\n")[2].strip()
    last_line = _LAST_LINE.fullmatch(last) if "####" in last or last.startswith("A:") else None
    if last_line and len(last_line[1]) < 100 and number(normalise(last_line[1])) is not None:
        return last_line[1].strip()
    start = -1
    for phrase in _PHRASE.finditer(text) if "answer" in text.casefold() else ():
        start = phrase.end()
    if start < 0:
        return None
    stated = text[start:].lstrip(" *")
    if formula := _FORMULA.match(stated):
        return next(group for group in formula.groups() if group is not None).strip()
    line = _SENTENCE.split(stated.partition("\n")[0].rstrip(" *"), maxsplit=1)[0]
    if verb := _VERB.match(line):  # "The final answer: the largest n is 34."
        line = line[verb.end() :]
        if formula := _FORMULA.match(line):
            return next(group for group in formula.groups() if group is not None).strip()
    return line.strip(" *\r\t") or None


def read(prediction: str, gold: str = "", *, guess: bool = False) -> str | None:
    """The answer that a prediction states, or is: one that is the gold answer word for word, or
    a text of a few words and no more, is taken whole.

    guess: where neither holds, take the last formula or number. That is for grading the texts of
        models that were never told how to state an answer; a reward for it is a reward for chance.
    """
    stated = extract(prediction)
    if stated is not None:
        return stated
    prediction = first_solution(prediction).strip()
    if prediction == gold.strip() or _bare(prediction):
        return prediction or None
    return _last_expression(prediction) if guess else None


def _bare(text: str) -> bool:
    """Whether a text is an answer rather than prose about one."""
    if len(text) > LONGEST:
        return False
    prose, formulas = _FORMULA.subn(" ", text)
    words = _PROSE.findall(TEXT_MACRO.sub(" ", prose))
    if formulas:
        return set(words) <= {"and", "or"}
    return len(words) <= 3 and "\n" not in prose and not {"is", "are"} & set(words)


_PROSE = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{2,}")
_LAST_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:/\d+)?%?(?![\d)\]}'\"])")


def _last_expression(text: str) -> str | None:
    """The formula or number that ends last; a number before a bracket or quote is part of more."""
    start, stop, end = -1, -1, -1  # where its contents start and stop, and where it ends
    for left, right in (("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")):
        close = text.rfind(right)
        if right == "$" and re.match(r"\$\d", text[close : close + 2]):
            continue  # a price
        close -= right == "$" and text[close - 1 : close] == "$"
        opening = text.rfind(left, 0, max(close, 0))
        if close > end and opening >= 0 and text[opening + len(left) : close].strip():
            start, stop, end = opening + len(left), close, close + len(right)
    for found in _LAST_NUMBER.finditer(text, max(end, 0)):
        start, stop = found.span()
    return text[start:stop].strip(" ,") if start >= 0 else None


def parsable(answer: str) -> bool:
    """Whether an answer can be compared with another at all: something is left of it once dressing
    is taken off, it is no longer than `LONGEST`, and its braces match."""
    if len(answer) > LONGEST or not normalise(answer):
        return False
    depth = 0
    for token in BRACES.finditer(answer):
        depth += (token[0] == "{" or len(token[0]) > 2) - (token[0] == "}")
        if depth < 0:
            return False
    return depth == 0

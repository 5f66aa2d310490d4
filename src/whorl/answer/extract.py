"""The final answer that a text states."""

import re

from whorl.answer.boxes import BRACES, find_boxes, listed
from whorl.answer.conventions import LONGEST
from whorl.answer.equal import equal
from whorl.answer.follow import FORMULA, lines_listed, with_what_follows
from whorl.answer.numbers import number
from whorl.answer.plain import TEXT_MACRO, normalise
from whorl.answer.solution import first_solution
from whorl.answer.spoken import NUMBER_WORDS

_BOLD = r"(?:\*\*|\*|__)?"
_SAYS = rf"(?:\s*(?:(?:is|are)\b|[:：])|[ \t]*=(?!=)){_BOLD}\s*:?{_BOLD}\s*"
_RULE = r"(?:[=-]{3,80}[ \t]*\n)?"  # under a heading
_PHRASE = re.compile(
    rf"answers?{_BOLD}{_SAYS}|答案\s*(?:应?[是为]|[:：])\s*[:：]?\s*"
    rf"|^[ \t]*(?:#+[ \t]*)?{_BOLD}(?:the[ \t])?(?:final[ \t]{{1,4}})?answer{_BOLD}[ \t]*\n"
    rf"{_RULE}\s*",
    re.IGNORECASE | re.MULTILINE,
)
_TAGGED = re.compile(r"<(/?)answer>", re.IGNORECASE)
_SENTENCE = re.compile(r"[.!?](?=\s|$)|[。！？]|,?\s(?:because|since|which|where|i\.e\.)\s")
_VALUE = r"(?=[-$]{0,2}\d|\$|\\[(\[])"
_CLAIM = re.compile(
    r"\b(?:is|are|equals|was|were|be|has|have|had|needs?|gets?|got|costs?|earn(?:s|ed)?|makes?|made"
    rf"|pa(?:ys?|id)|sp(?:ends?|ent)|takes?|took|sold|weighs?) {_VALUE}"
)
_SUBJECT = r"[a-zA-Z]+(?:['’-][a-zA-Z]+){0,3}[ ,].*"
_ANY_VERB = r"\b(?:is|are|equals)\b\s*:?\s*"
_NEARLY = (
    r"(?:(?:about|approximately|roughly|around|exactly|only|just|simply|now|then|thus|therefore"
    r"|hence|also|equal to|given by)\b[,:]?\s{0,3}){0,3}"
)
_NUMBER_WORD = rf"(?i:{NUMBER_WORDS}|half)(?![a-zA-Z])"
_EXPRESSION = (
    rf"(?=[-+]?\s?(?:\.?\d|[$€£¥\\(\[{{√π∞|±]|\*\*|(?!a\s)[a-zA-Z](?![a-zA-Z'’])|{_NUMBER_WORD}))"
)
_VALUED = re.compile(rf"{_SUBJECT}(?:{_ANY_VERB}(?={_NEARLY}{_EXPRESSION})|{_CLAIM.pattern})")
_VERB = re.compile(rf"{_SUBJECT}{_ANY_VERB}(?=\S)")
_DIGIT = re.compile(r"\d")
_DENIED = re.compile(r"\b(?:not|never|no|neither)\b|n't\b|n’t\b")
_LAST_LINE = re.compile(r"(?:A:|(?:.*\s)?####)\s*([^#]+)")
_HASHED = re.compile(r"^[ \t]{0,4}####[ \t]*(\S[^#\n]{0,99})$", re.MULTILINE)


def extract(text: str) -> str | None:
    """The final answer a solution states: what the last `<answer>` holds; else the box that closes
    last, with the boxes it is listed with (`\\boxed{1}` and `\\boxed{2}`); else the number on a
    line `#### 5` or a last line `A: 5`; else what follows the last "answer is", "answer:" or
    heading "Answer". None if there is none of these: a last number is not a statement. What is
    thought between `<think>` and `</think>` and what follows the first solution are not read.
    """
    text = first_solution(text)
    tagged = _last_tagged(text)
    if tagged is not None:
        text = tagged
    boxes = find_boxes(text)
    if boxes:
        return listed(text, boxes, equal)
    stated = _stated(text)
    return tagged.strip() if stated is None and tagged is not None and bare(tagged) else stated


def _last_tagged(text: str) -> str | None:
    """What the last pair of `<answer>` and `</answer>` holds, if it holds something."""
    found, start = None, -1
    for tag in _TAGGED.finditer(text) if "nswer>" in text or "NSWER>" in text else ():
        if not tag[1]:
            start = tag.end()
        elif start >= 0:
            found = text[start : tag.start()] if text[start : tag.start()].strip() else found
            start = -1
    return found


def _stated(text: str) -> str | None:
    hashed = _hashed(text)
    start = -1
    if "answer" in text.casefold() or "答案" in text:
        for phrase in _PHRASE.finditer(text):
            start = phrase.end()
    if hashed is not None and (hashed[0] > start or text[hashed[0] :].count("\n") == 0):
        return hashed[1]
    if start < 0:
        return None
    begins_line = text[:start].rstrip(" \t").endswith("\n")
    if begins_line and (lines := lines_listed(text[start:])):  # `- 2` is an item, not -2
        return ", ".join(filter(None, map(_said, lines))) or None
    return _said(text[start:])


def _hashed(text: str) -> tuple[int, str] | None:
    """Where the number after a last `####` or `A:` stands, and the number."""
    stripped = text.rstrip()
    last = stripped.rpartition("\n")[2]
    line = _LAST_LINE.fullmatch(last.strip()) if "####" in last or "A:" in last[:9] else None
    if line and len(line[1]) < 100 and number(normalise(line[1])) is not None:
        return len(stripped) - len(last), line[1].strip()
    found = None
    for hashed in _HASHED.finditer(text) if "####" in text else ():
        if number(normalise(hashed[1])) is not None:
            found = hashed.start(), hashed[1].strip()
    return found


_ADVERB = re.compile(
    r"(?:(?:therefore|thus|hence|indeed|simply|just|exactly|equal to)\b[,:]?\s{0,9}){1,3}"
    r"(?=[-+*$\\(\[\d])",  # else it is part of an answer in words
    re.IGNORECASE,
)


def _said(stated: str) -> str | None:
    """What a text that follows "the answer is" begins with."""
    stated = _ADVERB.sub("", stated.lstrip(" *_`\n\r\t"))
    if stated.startswith("}"):  # \text{The answer is } 5
        stated = stated[1:].lstrip()
    if "**" in stated[:_BOLD_WITHIN]:
        stated = _CLOSED.sub(r"\1", stated, count=1)
    if formula := FORMULA.match(stated):
        return with_what_follows(stated, formula)
    line = _SENTENCE.split(stated.partition("\n")[0].rstrip(" *"), maxsplit=1)[0]
    if end := _verb_ends(line):  # "The final answer: the largest n is 34."
        line = _ADVERB.sub("", line[end:])
        if formula := FORMULA.match(line):
            return with_what_follows(line, formula)
    return line.strip(" *_`\r\t") or None


_CLOSED = re.compile(r"^([^*\n]{0,200}[^*\s])\*\*(?=[\s.,;:!?)]|$)")
_BOLD_WITHIN = 202


def _verb_ends(line: str) -> int:
    """Where the verb of a sentence ends whose answer follows it; 0 if there is none, or if it may
    stand before it: "Of the 20 students, 5 are boys"."""
    if len(_CLAIM.findall(line)) > 1 or _DENIED.search(line):
        return 0
    if verb := _VALUED.match(line):
        return verb.end()
    verb = _VERB.match(line)
    if verb is None or (_DIGIT.search(line[: verb.end()]) and not line[verb.end()].isupper()):
        return 0
    return verb.end()


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
    if prediction == gold.strip() or bare(prediction):
        return prediction or None
    return _last_expression(prediction) if guess else None


def gold_in(text: str) -> str | None:
    """The gold answer that a cell of a data set holds: what stands after a last `####`, what the
    text states as its answer, else the text itself. None if it is prose that states none: a
    sentence taken for an answer would make every solution wrong.
    """
    if "####" in text:
        return text.rpartition("####")[2].strip() or None
    stated = extract(text)
    if stated is not None:
        return stated
    if len(text) > LONGEST:
        return None
    words = _PROSE.findall(TEXT_MACRO.sub(" ", FORMULA.sub(" ", text)))
    sentence = len(words) > 3 and text.rstrip().endswith(".")
    if sentence or len(words) > _GOLD_WORDS or "boxed" in text or "\n\n" in text.strip():
        return None
    return text.strip() or None


_GOLD_WORDS = 8


def bare(text: str) -> bool:
    """Whether a text is an answer rather than prose about one."""
    if len(text) > LONGEST:
        return False
    prose, formulas = FORMULA.subn(" ", text)
    words = set(_PROSE.findall(TEXT_MACRO.sub(" ", prose))) - _MATHEMATICAL
    if formulas:
        return words <= {"and", "or"}
    return len(words) <= 3 and "\n" not in prose.strip() and not {"is", "are"} & words


_PROSE = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{2,}")
_MATHEMATICAL = frozenset(("sin", "cos", "tan", "exp", "ln", "log", "sqrt", "pi"))
_LAST_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:/\d+)?%?")


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
        if text[found.end() : found.end() + 1] not in (*")]}'\"", *"0123456789"):
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

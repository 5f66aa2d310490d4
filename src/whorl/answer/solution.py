"""Where in a text its first solution is: after what is thought, before what is written on."""

import re

from whorl.answer.boxes import find_boxes
from whorl.answer.thoughts import without_thoughts

_CHAT_TOKEN = re.compile(
    r"<\|(?:im_start|im_end|endoftext|end_of_text|eot_id|start_header_id|end|user|system)\|>"
    r"|</s>|\[INST\]"
)
_NEXT_QUESTION = re.compile(
    r"^[ \t]{0,8}(?:#{1,6}[ \t]{0,4}|\*\*)?"
    r"(?:Question|Problem|Exercise|Instruction|Q|Human|User)(?:\*\*)?:",
    re.MULTILINE,
)
_STATED = re.compile(r"answer\s*(?:is\b|:)|^#+[ \t]*(?:final[ \t]+)?answer[ \t]*$", re.I | re.M)


def first_solution(text: str) -> str:
    """`text` without its thoughts, up to where its writer turns to something else: a token of a
    chat template or, once an answer is stated, a line that opens another question (`Question:`,
    `Q:`, `Problem:`). A numbered one, `Question 2:`, may be a part of the same problem and ends
    nothing.
    """
    # Most texts are steps with nothing of the kind, so what a pattern needs is looked for first.
    if "<" in text or "[INST]" in text:
        text = without_thoughts(text)
        for token in _CHAT_TOKEN.finditer(text):
            if not text[: token.start()].isspace() and token.start():
                text = text[: token.start()]
                break
    if ":" not in text or not _NEXT_QUESTION.search(text):
        return text
    phrase = _STATED.search(text)
    stated = [box.end for box in find_boxes(text)[:1]] + ([phrase.end()] if phrase else [])
    following = _NEXT_QUESTION.search(text, min(stated)) if stated else None
    return text[: following.start()] if following else text

"""Thoughts in a text: what a model writes to itself before the solution, between two marks.

Wherever whorl has a thought, it stands in the assistant's text as `<think>...</think>`, whatever
marks the model itself writes; `whorl.chat` puts them in and takes them out.
"""

import re

OPEN = "<think>\n"
CLOSE = "\n</think>\n\n"
"""The marks of a thought with the line breaks that Qwen3 and DeepSeek-R1 write around them."""

_TAG = re.compile(r"<(/?)(?:think|thinking|thought|reasoning)>", re.IGNORECASE)


def without_thoughts(text: str) -> str:
    """What stands outside `<think>...</think>`. One that is not closed goes on to the end; one that
    is closed and not opened, as where the template opened it, began with the text."""
    if "<" not in text:
        return text
    kept: list[str] = []
    position, opened = 0, False
    for tag in _TAG.finditer(text):
        if tag[1]:
            if not opened:
                kept.clear()
            opened, position = False, tag.end()
        else:
            if not opened:
                kept.append(text[position : tag.start()])
            opened = True
    if not opened:
        kept.append(text[position:])
    return "".join(kept)


def thinks(text: str) -> bool:
    """Whether a text ends within a thought."""
    if "<" not in text:
        return False
    opened = False
    for tag in _TAG.finditer(text):
        opened = not tag[1]
    return opened


def parted(text: str) -> tuple[str, str]:
    """The thought that a text begins with, its marks and the space behind it included, and the
    rest. All of it is thought if that is not closed, nothing if something stands before it."""
    tags = list(_TAG.finditer(text)) if "<" in text else []
    if not tags or (not tags[0][1] and text[: tags[0].start()].strip()):
        return "", text
    closing = next((tag for tag in tags if tag[1]), None)
    rest = text[closing.end() :].lstrip() if closing else ""
    return text[: len(text) - len(rest)], rest


def shown(text: str) -> str:
    """A text as somebody else is to read it: without its thoughts or, where it is nothing else,
    without their marks, and without space around it."""
    return without_thoughts(text).strip() or _TAG.sub("", text).strip()


def inside(text: str) -> str:
    """What a text that begins with a thought says in it, without the marks; empty without one."""
    head = parted(text)[0]
    return _TAG.sub("", head).strip() if head else ""


def thought_first(thought: str, text: str) -> str:
    """Text and thought that a server kept apart, as a model writes them: the thought, closed if
    anything follows it, and the text."""
    if not thought:
        return text
    opened = OPEN + thought.strip("\n")
    return opened + CLOSE + text.lstrip("\n") if text else opened

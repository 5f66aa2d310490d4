"""Text of whatever origin in the cells of tables: Markdown, LaTeX and CSV show it as it is."""

import re

from whorl.errors import visible

_MARKDOWN = re.compile(
    r"[\\`*\[\]<>|&~$#]"  # what has a meaning anywhere
    r"|(?<![^\W_])_|_(?![^\W_])"  # emphasis; within a word it is none
    r"|:(?=//)"  # a link
    r"|^[-+=]"  # a list, a heading
)
_NUMBERED = re.compile(r"^(\d{1,9})([.)])(?=\s|$)")
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "`": r"\textasciigrave{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # behind a row's end it would be a length
    "*": "{*}",
    **{char: f"\\{char}" for char in "&%$#_{}"},
}
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def plain(text: str) -> str:
    """The text in one line, with nothing invisible in it."""
    return visible(" ".join(text.split()))


def markdown_cell(text: str) -> str:
    """The text for Markdown, HTML included, in a table or a paragraph."""
    return _NUMBERED.sub(r"\1\\\2", _MARKDOWN.sub(r"\\\g<0>", plain(text)))


def latex_cell(text: str) -> str:
    """The text for LaTeX, in a table or a paragraph."""
    return "".join(_LATEX.get(char, char) for char in plain(text))


def csv_cell(text: str) -> str:
    """The text for CSV, before it is quoted: no spreadsheet takes it for a formula."""
    shown = plain(text)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown

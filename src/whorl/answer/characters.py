"""Unicode characters of mathematics in LaTeX."""

import re
import unicodedata

_WRITTEN = {
    "−": "-",
    "–": "-",
    "⁻": "^-",
    "°": r"^\circ ",
    "×": r"\times ",
    "·": r"\cdot ",
    "⋅": r"\cdot ",
    "∙": r"\cdot ",
    "∗": "*",
    "÷": r"\div ",
    "±": r"\pm ",
    "∓": r"\mp ",
    "∞": r"\infty ",
    "≤": r"\le ",
    "≥": r"\ge ",
    "⩽": r"\le ",
    "⩾": r"\ge ",
    "≠": r"\ne ",
    "≈": r"\approx ",
    "≡": r"\equiv ",
    "∈": r"\in ",
    "∉": r"\notin ",
    "∪": r"\cup ",
    "∩": r"\cap ",
    "∖": r"\setminus ",
    "∅": r"\emptyset ",
    "ℝ": r"\mathbb{R}",
    "ℤ": r"\mathbb{Z}",
    "∨": r"\vee ",
    "∧": r"\wedge ",
    "⟨": r"\langle ",
    "⟩": r"\rangle ",
    "⌊": r"\lfloor ",
    "⌋": r"\rfloor ",
    "⌈": r"\lceil ",
    "⌉": r"\rceil ",
    "∣": r"\mid ",
    "…": "...",
    "′": "'",
    "’": "'",
    "∛": r"\sqrt[3]",
    "∜": r"\sqrt[4]",
    "％": "%",
    "、": ",",
    "。": ".",
    "〜": "~",
    "\u00a0": " ",
    "\u2009": " ",
    "\u200a": " ",
    "\u202f": "~",
    "\u2002": " ",
    "\u3000": " ",
    "\u200b": "",
    "\ufeff": "",
    "\u2061": "",
    "\u2062": "",
}
_FRACTIONS = {
    character: f"\\frac{{{above}}}{{{below}}}"
    for character, above, below in (
        *(("½", 1, 2), ("⅓", 1, 3), ("⅔", 2, 3), ("¼", 1, 4), ("¾", 3, 4), ("⅕", 1, 5)),
        *(("⅖", 2, 5), ("⅗", 3, 5), ("⅘", 4, 5), ("⅙", 1, 6), ("⅚", 5, 6), ("⅛", 1, 8)),
        *(("⅜", 3, 8), ("⅝", 5, 8), ("⅞", 7, 8), ("⅐", 1, 7), ("⅑", 1, 9), ("⅒", 1, 10)),
    )
}
_GREEK = {
    letter: f"\\{name.lower() if letter.islower() else name.capitalize()} "
    for letter in "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ"
    for name in (unicodedata.name(letter).rpartition(" ")[2].replace("LAMDA", "LAMBDA"),)
}
_FULL_WIDTH = {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
_CHARACTERS = str.maketrans(_FULL_WIDTH | _WRITTEN | _FRACTIONS | _GREEK)
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉ₙ", "0123456789n")
_STYLED = re.compile("[\U0001d400-\U0001d7ff]+")
_SUPERSCRIPT = re.compile("[⁰¹²³⁴-⁹⁺⁻ⁿ]+")
_SUBSCRIPT = re.compile("[₀-₉ₙ]+")
_ROOT = re.compile(r"(√|∛|∜)\s?(?:\(([^()]{1,200})\)|(\d{1,40}|[a-z]))")


def in_latex(text: str) -> str:
    """A text with LaTeX in place of Unicode's characters for mathematics."""
    if text.isascii():
        return text
    text = _STYLED.sub(lambda run: unicodedata.normalize("NFKC", run[0]), text)
    text = _SUPERSCRIPT.sub(lambda run: f"^{{{run[0].translate(_RAISED)}}}", text)
    text = _SUBSCRIPT.sub(lambda run: f"_{{{run[0].translate(_LOWERED)}}}", text)
    return _ROOT.sub(_root, text).replace("√", r"\sqrt ").translate(_CHARACTERS)


def _root(found: re.Match[str]) -> str:
    degree = {"√": "", "∛": "[3]", "∜": "[4]"}[found[1]]
    return f"\\sqrt{degree}{{{found[2] or found[3]}}}"

"""One spelling for what LaTeX, Unicode and plain text write in many: characters, fonts, signs."""

import re

from whorl.answer.boxes import find_boxes, listed

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
_GREEK = dict(
    zip(
        "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ",
        (
            rf"\{name} "
            for name in [
                "alpha",
                "beta",
                "gamma",
                "delta",
                "epsilon",
                "zeta",
                "eta",
                "theta",
                "iota",
                "kappa",
                "lambda",
                "mu",
                "nu",
                "xi",
                "pi",
                "rho",
                "sigma",
                "tau",
                "upsilon",
                "phi",
                "chi",
                "psi",
                "omega",
                "Gamma",
                "Delta",
                "Theta",
                "Lambda",
                "Xi",
                "Pi",
                "Sigma",
                "Phi",
                "Psi",
                "Omega",
            ]
        ),
        strict=True,
    )
)
_FULL_WIDTH = {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
_CHARACTERS = str.maketrans(_FULL_WIDTH | _WRITTEN | _FRACTIONS | _GREEK)
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉ₙ", "0123456789n")
_SUPERSCRIPT = re.compile("[⁰¹²³⁴-⁹⁺⁻ⁿ]+")
_SUBSCRIPT = re.compile("[₀-₉ₙ]+")
_UNICODE_ROOT = re.compile(r"(√|∛|∜)\s*(?:\(([^()]{1,200})\)|(\d+|[a-z]))")

_FONT = r"\\(?:mathbf|boldsymbol|bm|pmb|mathit|mathsf|mathnormal|underline|displaystyle|textstyle)"
_COLOR = (
    r"\\(?:textcolor|colorbox)\s*(?:\[\w{1,20}\])?\{[\w!]{1,40}\}|\\color\s*(?:\[\w{1,20}\])?"
    r"\{[\w!]{1,40}\}|\\(?:tag\*?|label|hspace\*?|vspace\*?)\s*\{[^{}]{0,80}\}"
)
_THOUSANDS = re.compile(
    r"(?<![\d.,])(?<!\d\s)\d{1,3}(?:(?:\{,\}|,\s?\\[,!]\s?|\s?(?:\s|~|\\[,;:!> ])\s?)\d{3})+"
    r"(?![\d/]|\s\d)"
)  # 10{,}000  3,\!250  1\,234  10 000
_REWRITES = tuple(
    (re.compile(pattern), plain)
    for pattern, plain in (
        (_COLOR, ""),
        (_FONT + r"\s*\{\s*(\w|\d{1,20}|[A-Za-z]_\w)\s*\}", r" \1 "),
        (_FONT + r"(?![a-zA-Z])\s*", ""),
        (r"\\(?:left|right|middle|[bB]igg?[lrm]?)(?![a-zA-Z])\s*", ""),
        (r"(?<!\\)\\!", ""),
        (r"(?<!\\)\\[,;:> ]|\\q?quad(?![a-zA-Z])|\\(?:thin|en)space(?![a-zA-Z])|~", " "),
        (r"(?<![<>=])(?:<=(?!>)|=<)", r"\\le "),
        (r"(?<![<>=])>=", r"\\ge "),
        (r"(?<=\s)!=|\\not\s*=|\\neq?(?![a-zA-Z])", r"\\ne "),
        (r"\\not\s*\\in(?![a-zA-Z])", r"\\notin "),
        (r"\\lt(?![a-zA-Z])", "<"),
        (r"\\gt(?![a-zA-Z])", ">"),
        (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
        (r"\\[dt]binom(?![a-zA-Z])", r"\\binom"),
        (r"\\frac\s*([^\s{}\\])", r"\\frac{\1}"),
        (r"(\\frac\s*\{[^{}]{0,200}\})\s*([^\s{}\\])", r"\1{\2}"),
        (r"(?<![a-zA-Z\\])sqrt\s*(?:\(([^()]{1,200})\)|(\d+|[a-z](?![a-z])))", r"\\sqrt{\1\2}"),
        (r"(?<![a-zA-Z\\])pi(?![a-zA-Z])", r"\\pi "),
        (r"\\sqrt\s*([^\s{}\\\[])", r"\\sqrt{\1}"),
        (r"\\(le|ge)q(?:slant|q)?(?![a-zA-Z])", r"\\\1 "),
        (r"\\varnothing(?![a-zA-Z])|\\empty(?![a-zA-Z])", r"\\emptyset "),
        (r"\\(?:langle|lang)(?![a-zA-Z])\s*", "("),
        (r"\\(?:rangle|rang)(?![a-zA-Z])", ")"),
        (r"\\cross(?![a-zA-Z])", r"\\times "),
        (r"\\(?:mathbb|Bbb)\s*\{?\s*R\s*\}?|\\R(?![a-zA-Z])|\\reals(?![a-zA-Z])", r"\\mathbb{R}"),
        (r"\\operatorname\*?\s*\{\s*(sin|cos|tan|cot|sec|csc|ln|log|exp)\s*\}", r"\\\1 "),
        (r"\\mathrm\s*\{\s*(sin|cos|tan|cot|sec|csc|ln|log|exp|d|e|i)\s*\}", r" \1 "),
        (
            r"\^\s*(?:\{\s*)?\\circ\s*(?:\}\s*)?\\?(?:text|mathrm|rm)?\s*\{?\s*([CF])\s*\}?(?![a-zA-Z])",
            r"\\text{ deg\1}",
        ),
        (r"\^\s*(?:\\circ(?![a-zA-Z])|\{\s*\\circ\s*\})|\\degree(?![a-zA-Z])", ""),
        (r"([_^])\s*\{\s*(\w)\s*\}(?!\s*\d)", r"\1\2"),
        (r"\\?%|\s?\b(?:percent(?:age)?|pct)\b\.?", "%"),
        (r"\*\*(?=\s*[\d({\\a-z-])", "^"),
    )
)
_NO_DIGIT = re.compile(r"\D")
_TRIGONOMETRIC = re.compile(r"\\?(?<![a-z])(?:sin|cos|tan|cot|sec|csc)(?![a-z])")
_DEGREES = re.compile(
    r"(?<![\d.])(\d+(?:\.\d+)?)\s?(?:\^\s?(?:\\circ(?![a-zA-Z])|\{\s?\\circ\s?\})|\\degree(?![a-zA-Z]))"
)
_OTHER_DEGREES = re.compile(r"\^\s?(?:\\circ(?![a-zA-Z])|\{\s?\\circ\s?\})|\\degree(?![a-zA-Z])")


def spelled(answer: str) -> str:
    """The answer in one spelling, without the signs of a formula round the whole; the contents of
    its boxes, if it has some."""
    text = answer
    if not text.isascii():
        text = _SUPERSCRIPT.sub(lambda run: f"^{{{run[0].translate(_RAISED)}}}", text)
        text = _SUBSCRIPT.sub(lambda run: f"_{{{run[0].translate(_LOWERED)}}}", text)
        text = _UNICODE_ROOT.sub(_root, text).replace("√", r"\sqrt ").translate(_CHARACTERS)
    text = single_spaced(text)
    if "box" in text:
        boxes = find_boxes(text)
        text = listed(text, boxes, str.__eq__) if boxes else text
    if "circ" in text or "degree" in text:
        text = _in_radians(text)
    text = _THOUSANDS.sub(lambda digits: _NO_DIGIT.sub("", digits[0]), text)
    for pattern, plain in _REWRITES:
        text = pattern.sub(plain, text)
    return undressed(single_spaced(text))


def _root(found: re.Match[str]) -> str:
    degree = {"√": "", "∛": "[3]", "∜": "[4]"}[found[1]]
    return f"\\sqrt{degree}{{{found[2] or found[3]}}}"


def _in_radians(text: str) -> str:
    """Degrees of what a sine or the like is taken of; elsewhere their sign is dropped."""
    if not _TRIGONOMETRIC.search(text):
        return text
    return _OTHER_DEGREES.sub(r" \\frac{\\pi}{180} ", _DEGREES.sub(r"(\\frac{\1\\pi}{180})", text))


def single_spaced(text: str) -> str:
    """Runs of blanks cost the patterns above time quadratic in their length."""
    return " ".join(text.split())


def undressed(text: str) -> str:
    """Without the signs of a formula or of bold print around the whole, nor final punctuation."""
    text = text.strip().rstrip(".,;").strip()
    for left, right in (("**", "**"), ("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")):
        inner = text[len(left) : -len(right)]
        if text.startswith(left) and text.endswith(right) and left not in inner and inner:
            return inner.strip().rstrip(".,;").strip()
    return text

"""One spelling for what LaTeX and plain text write in many: fonts, spaces, signs, degrees."""

import re

from whorl.answer.boxes import find_boxes, listed
from whorl.answer.characters import in_latex
from whorl.answer.fonts import TEXT
from whorl.answer.magnitudes import written_out
from whorl.answer.times import in_one_form

_FONT = r"\\(?:mathbf|boldsymbol|bm|pmb|mathit|mathsf|mathnormal|underline|displaystyle|textstyle)"
_ARGUMENT = r"\s?(?:\[\w{1,20}\])?\{[\w!]{1,40}\}"
_FUNCTION = r"(sin|cos|tan|cot|sec|csc|ln|log|exp"
_END = r"(?![a-zA-Z])"
_THOUSANDS = re.compile(
    r"(?<![\d.,])(?<!\d\s)\d{1,3}(?:(?:\{,\}|,\s?\\[,!]\s?|\s?(?:\s|~|\\[,;:!> ])\s?)\d{3})+"
    r"(?![\d/]|\s\d)"
)  # 10{,}000  3,\!250  1\,234  10 000
_IN_LATEX = tuple(
    (needle, re.compile(pattern), plain)
    for needle, pattern, plain in (
        ("color", rf"\\(?:(?:text)?color|colorbox){_ARGUMENT}", ""),
        ("{", r"\\(?:tag\*?|label|[hv]space\*?)\s?\{[^{}]{0,80}\}", ""),
        ("", rf"{_FONT}\s?\{{\s?(\w|\d{{1,20}}|[A-Za-z]_\w)\s?\}}", r" \1 "),
        ("", rf"{_FONT}{_END}\s?", ""),
        ("", rf"\\(?:left|right|middle|[bB]igg?[lrm]?){_END}\s?", ""),
        (r"\!", r"(?<!\\)\\!", ""),
        ("", rf"(?<!\\)\\[,;:> ]|\\q?quad{_END}|\\(?:thin|en)space{_END}", " "),
        ("", rf"\\not\s?=|\\neq?{_END}", r"\\ne "),
        (r"\not", rf"\\not\s?\\in{_END}", r"\\notin "),
        (r"\lt", rf"\\lt{_END}", "<"),
        (r"\gt", rf"\\gt{_END}", ">"),
        ("frac", rf"\\[dtc]frac{_END}", r"\\frac"),
        ("binom", rf"\\[dt]binom{_END}", r"\\binom"),
        ("frac", r"\\frac\s?([^\s{}\\])", r"\\frac{\1}"),
        ("frac", r"(\\frac\s?\{[^{}]{0,200}\})\s?([^\s{}\\])", r"\1{\2}"),
        ("sqrt", r"\\sqrt\s?([^\s{}\\\[])", r"\\sqrt{\1}"),
        ("choose", r"\{\s?([^{}\\]{1,20}?)\s?\\choose\s?([^{}]{1,20})\}", r"\\binom{\1}{\2}"),
        ("eq", rf"\\(le|ge)q(?:slant|q)?{_END}", r"\\\1 "),
        ("empty", rf"\\empty{_END}", r"\\emptyset "),
        ("varnothing", rf"\\varnothing{_END}", r"\\emptyset "),
        ("ang", rf"\\lang(?:le)?{_END}\s?", "("),
        ("ang", rf"\\rang(?:le)?{_END}", ")"),
        ("cross", rf"\\cross{_END}", r"\\times "),
        ("", rf"\\(?:mathbb|Bbb)\s?\{{?\s?R\s?\}}?|\\R{_END}|\\reals{_END}", r"\\mathbb{R}"),
        ("oper", rf"\\operatorname\*?\s?\{{\s?{_FUNCTION})\s?\}}", r"\\\1 "),
        ("mathrm", rf"\\mathrm\s?\{{\s?{_FUNCTION}|d|e|i)\s?\}}", r" \1 "),
        (
            "circ",
            rf"\^\s?(?:\{{\s?)?\\circ\s?(?:\}}\s?)?(?:{TEXT})?\\?\s?\{{?\s?([CF])\s?\}}?" + _END,
            r"\\text{ deg\1}",
        ),
        (
            "circ",
            r"(?<=\d)\s?\^\s?(?:\\circ|\{\s?\\circ\s?\})[\s$.]{0,3}$",
            r"\\text{ degrees}",
        ),
        ("circ", rf"\^\s?(?:\\circ{_END}|\{{\s?\\circ\s?\}})", ""),
        ("degree", rf"\\degree{_END}", ""),
    )
)
_IN_TEXT = tuple(
    (needle, re.compile(pattern), plain)
    for needle, pattern, plain in (
        ("=", r"(?<![<>=])(?:<=(?!>)|=<)", r"\\le "),
        (">=", r"(?<![<>=])>=", r"\\ge "),
        ("!=", r"(?<=\s)!=", r"\\ne "),  # 5!=120 is a factorial
        (
            "sqrt",
            r"(?<![a-zA-Z\\])sqrt\s?(?:\(([^()]{1,200})\)|(\d{1,40}|[a-z](?![a-z])))",
            r"\\sqrt{\1\2}",
        ),
        ("pi", rf"(?<![a-zA-Z\\])pi{_END}", r"\\pi "),
        ("{", r"([_^])\s?\{\s?(\w)\s?\}(?!\s?\d)", r"\1\2"),
        ("%", r"\\?%", "%"),
        ("p", r"\s?\b(?:percent(?:age)?|pct)\b\.?", "%"),
        ("**", r"\*\*(?=\s?[\d({\\a-z-])", "^"),
    )
)
_DOUBLED = re.compile(r"\\\\(?=[a-zA-Z{}(\[\])])")  # as in JSON, where no row ends
_LINES = re.compile(r"\\(?:begin|end)\{(?:align|aligned|equation|gather|gathered|split)\*?\}")
_NO_DIGIT = re.compile(r"\D")
_TRIGONOMETRIC = re.compile(r"\\?(?<![a-z])(?:sin|cos|tan|cot|sec|csc)(?![a-z])")
_DEGREES = re.compile(
    r"(?<![\d.])(\d+(?:\.\d+)?)\s?(?:\^\s?(?:\\circ(?![a-zA-Z])|\{\s?\\circ\s?\})|\\degree(?![a-zA-Z]))"
)
_OTHER_DEGREES = re.compile(r"\^\s?(?:\\circ(?![a-zA-Z])|\{\s?\\circ\s?\})|\\degree(?![a-zA-Z])")


_GOES_ON = re.compile(r"(\d*\.\d+)\s?(?:\.{2,}|\\(?:[lcd]?dots|dotsc)(?![a-zA-Z]))")


def spelled(answer: str) -> str:
    """The answer in one spelling, without the signs of a formula round the whole; the contents of
    its boxes, if it has some."""
    text = single_spaced(in_latex(answer))
    if "\\\\" in text and r"\begin" not in text:
        text = _DOUBLED.sub("\\\\", text)
    if ".." in text or "dots" in text:
        text = _GOES_ON.sub(r"\1\\ldots ", text)
    if text.startswith("**"):
        text = undressed(text)
    if "box" in text:
        boxes = find_boxes(text)
        text = listed(text, boxes, str.__eq__) if boxes else text
    if "circ" in text or "degree" in text:
        text = _in_radians(text)
    if " " in text or "\\" in text or "{,}" in text or "~" in text:
        text = _THOUSANDS.sub(lambda digits: _NO_DIGIT.sub("", digits[0]), text)
        text = text.replace("~", " ")
    if r"\begin" in text and (lines := _LINES.sub(" ", text)) != text:
        text = lines.replace("&", "")
    # A pattern costs more than a look for what it needs, and most answers have little of it.
    for rewrites in (_IN_LATEX, _IN_TEXT) if "\\" in text else (_IN_TEXT,):
        for needle, pattern, plain in rewrites:
            if needle in text:
                text = pattern.sub(plain, text)
    return undressed(single_spaced(in_one_form(written_out(text))))


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
    for left, right in (
        ("**", "**"),
        ("$$", "$$"),
        ("$", "$"),
        (r"\(", r"\)"),
        (r"\[", r"\]"),
        ('"', '"'),
    ):
        inner = text[len(left) : -len(right)]
        if text.startswith(left) and text.endswith(right) and left not in inner and inner:
            return inner.strip().rstrip(".,;").strip()
    return text

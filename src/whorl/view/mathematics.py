"""Formulas as MathML, which browsers lay out without a script; what cannot be read stays LaTeX."""

import re
from functools import lru_cache
from html import unescape
from xml.etree import ElementTree as Xml

from latex2mathml.converter import convert_to_element
from markupsafe import Markup, escape

from whorl.errors import visible

LONGEST = 2_000  # characters of a formula that is laid out
DEPTH = 40  # elements within each other

ELEMENTS = frozenset(
    (
        *("math", "mrow", "mi", "mn", "mo", "ms", "mtext", "mspace", "mstyle", "mpadded"),
        *("mphantom", "msqrt", "mroot", "mfrac", "msub", "msup", "msubsup", "munder", "mover"),
        *("munderover", "mmultiscripts", "mprescripts", "mtable", "mtr", "mtd"),
    )
)
ATTRIBUTES = frozenset(
    (
        *("display", "displaystyle", "scriptlevel", "mathvariant", "stretchy", "fence", "form"),
        *("separator", "accent", "accentunder", "largeop", "movablelimits", "symmetric"),
        *("lspace", "rspace", "linethickness", "minsize", "maxsize", "columnalign"),
        *("columnspacing", "rowspacing", "columnlines", "rowlines"),
    )
)
"""All that is let through of what the library makes: nothing that links, styles or runs."""

_SMALL = re.compile(r"-?\d{0,2}(\.\d{1,4})?(em|ex|px|pt)?|[a-z ]{1,60}|[-\d.emxpt ]{1,60}")


@lru_cache(maxsize=20_000)
def formula(latex: str, stands: str, *, block: bool) -> Markup:
    """A formula as MathML; as it `stands` in the text if it cannot be laid out."""
    try:
        if len(latex) > LONGEST:
            raise ValueError("too long to lay out")
        made = convert_to_element(latex, display="block" if block else "inline")
        return Markup(Xml.tostring(_clean(made, DEPTH), encoding="unicode"))
    except Exception:  # the library has its own way to say what it cannot read, or none
        return Markup('<code class="latex">{}</code>').format(visible(stands))


def _clean(element: Xml.Element, depth: int) -> Xml.Element:
    """The element, and what is in it, as far as it is known and harmless. Raises ValueError if it
    is too deep, or holds a command that was not understood."""
    if depth < 0:
        raise ValueError("too deep to lay out")
    boxed = element.tag == "menclose" and element.get("notation") == "box"
    kept = Xml.Element(element.tag if element.tag in ELEMENTS else "mrow")
    if boxed:
        kept.set("class", "boxed")
    for name, value in element.attrib.items():
        if name in ATTRIBUTES and _SMALL.fullmatch(value):
            kept.set(name, value)
    if element.tag == "mspace" and re.fullmatch(r"-?[0-3](\.\d+)?em", element.get("width", "")):
        kept.set("width", element.get("width", ""))
    said = visible(unescape(element.text or ""))
    if said.startswith("\\") and len(said) > 1:
        raise ValueError(f"unknown command {said}")
    kept.text = said
    kept.extend(_clean(inner, depth - 1) for inner in element)
    return kept


_PARTS = re.compile(
    r"(?P<code>```[\s\S]*?(?:```|\Z))"
    r"|(?P<thought><think>[\s\S]*?(?:</think>|\Z))"
    r"|\$\$(?P<block>[^$]{1,2000})\$\$"
    r"|\\\[(?P<bracket>(?:(?!\\\[)[\s\S]){1,2000}?)\\\]"
    r"|\\\((?P<paren>(?:(?!\\\()[\s\S]){1,2000}?)\\\)"
    r"|(?<![\\$\w])\$(?P<inline>[^\s$](?:[^$\n]{0,1998}[^\s$\\])?)\$(?!\d)"
    r"|(?P<box>\\boxed\{(?:[^{}]|\{(?:[^{}]|\{[^{}]{0,200}\}){0,200}\}){0,400}\})"
)


def text(source: str, *, folded: bool = False) -> Markup:
    """Text of a model: formulas laid out, code as code, thoughts folded, all else as it stands.

    folded: it is inside thoughts, where no others are folded.
    """
    parts: list[Markup] = []
    end = 0
    for found in _PARTS.finditer(source):
        parts.append(plain(source[end : found.start()]))
        parts.append(_part(found, folded))
        end = found.end()
    parts.append(plain(source[end:]))
    return Markup("").join(parts)


def plain(source: str) -> Markup:
    """Text as it stands; characters without a glyph are named."""
    return escape(visible(source))


def _part(found: "re.Match[str]", folded: bool) -> Markup:
    kind, said = str(found.lastgroup), str(found[str(found.lastgroup)])
    if kind == "code":
        inner = re.sub(r"\A```[\w+-]*\n?|```\Z", "", said)
        return Markup("<pre><code>{}</code></pre>").format(visible(inner))
    if kind == "thought" and folded:
        return plain(said)
    if kind == "thought":
        inner = said.removeprefix("<think>").removesuffix("</think>").strip()
        count = f"{len(inner):,}"
        return Markup(
            '<details class="thought"><summary>thoughts, {} characters</summary>{}</details>'
        ).format(count, text(inner, folded=True))
    return formula(said.strip(), found[0], block=kind in ("block", "bracket"))

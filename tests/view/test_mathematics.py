"""Formulas as MathML, and nothing else that a model can make of a page."""

from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.view.folder import ENEMY

from whorl.view.mathematics import ATTRIBUTES, ELEMENTS, text


def tags(markup: str) -> set[str]:
    root = Xml.fromstring(f"<x>{markup}</x>")
    return {element.tag for element in root.iter()} - {"x"}


@pytest.mark.parametrize(
    ("source", "within"),
    [
        (r"so $\frac{1}{2}$", "<mfrac>"),
        (r"\[ x^2 \]", '<math display="block">'),
        (r"$$\sum_{i=1}^n i$$", "munderover"),
        (r"\(\sqrt{2}\)", "<msqrt>"),
        (r"The answer is \boxed{\frac{1}{2}}.", 'class="boxed"'),
        ("```py\nx < 1\n```", "<pre><code>x &lt; 1\n</code></pre>"),
        ("<think>a <b> $x$</think>b", '<details class="thought"><summary>thoughts, 9 characters'),
        ("it costs $5 and $7.", "it costs $5 and $7."),
        (r"$\frac{1}{$", r'<code class="latex">$\frac{1}{$</code>'),
        (r"$\nonsense{x}$", r'<code class="latex">$\nonsense{x}$</code>'),
        ("a\u202eb\u0000", "a‹U+202E›b‹U+0000›"),
        (r"$\text{<b>}$", "&lt;b&gt;"),
        ("$" + "{" * 60 + "x" + "}" * 60 + "$", '<code class="latex">'),
    ],
)
def test_text_is_laid_out(source: str, within: str) -> None:
    assert within in text(source)


def test_a_formula_that_cannot_be_laid_out_stands_as_it_was_written() -> None:
    assert "<math" not in text(r"$\frac{1}{$ and $\foo$")
    assert text("plain & simple") == "plain &amp; simple"


@given(st.one_of(
    st.text(),
    st.text(alphabet="\\{}$^_&<>\"'[]() \nabftrcxoed1").map(lambda s: f"${s}$"),
    st.lists(st.sampled_from([
        "\\frac", "{", "}", "\\text", "<script>", "\\href", "javascript:x", "\\style", "$", "\\(",
        "\\)", "\\boxed", "\\begin{array}", "\\end{array}", "&", "\\\\", "```", "<think>",
        "</think>", "\\color{red}", "\\class", "x^", "_2", "\\left(", "\\right.", "\\tag{1}",
    ])).map(" ".join),
))  # fmt: skip
def test_whatever_is_said_is_well_formed_and_harmless(source: str) -> None:
    root = Xml.fromstring(f"<x>{text(source)}</x>")
    for element in root.iter():
        assert element.tag in ELEMENTS | {"x", "pre", "code", "details", "summary"}
        assert set(element.attrib) <= ATTRIBUTES | {"class", "width"}


def test_an_enemy_makes_no_markup() -> None:
    made = text(ENEMY)
    assert tags(made) <= ELEMENTS | {"code"}
    assert "href" not in {
        name for e in Xml.fromstring(f"<x>{made}</x>").iter() for name in e.attrib
    }
    assert "9999em" not in made


SWOLLEN = {
    "dollars": "$" * 50_000,
    "boxes": "\\boxed{" * 20_000,
    "thoughts": "<think>" * 20_000,
    "parens": "\\(" * 50_000,
    "fences": "```" * 50_000,
    "opened": "$a " * 30_000,
    "braces": "\\boxed{" + "{a}" * 30_000,
}


@pytest.mark.parametrize("source", SWOLLEN.values(), ids=SWOLLEN)
@pytest.mark.timeout(20)
def test_no_text_takes_long(source: str) -> None:
    assert text(source)

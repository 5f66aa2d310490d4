import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.report.text import clip, number, percent, points, probability


@given(st.text(), st.integers(1, 20))
def test_clip_keeps_the_beginning_and_counts_the_rest(text: str, limit: int) -> None:
    excerpt = clip(text, limit)
    assert len(excerpt.text) <= limit
    assert text.strip().startswith(excerpt.text)
    assert len(excerpt.text) + excerpt.left_out == len(text.strip())


@pytest.mark.parametrize(
    ("p", "shown"),
    [(None, "–"), (float("nan"), "–"), (0.0, "< 10⁻³⁰⁰"), (1.0, "1.000"), (0.0499, "0.050"),
     (0.001, "0.001"), (0.00021, "2.1·10⁻⁴"), (3e-120, "3.0·10⁻¹²⁰")],
)  # fmt: skip
def test_probability(p: float | None, shown: str) -> None:
    assert probability(p) == shown


def test_numbers() -> None:
    assert number(1234567) == "1\u2009234\u2009567"
    assert number("as it is") == "as it is"
    assert number(None) == "–"
    assert percent(0.1234) == "12.3\u00a0%"
    assert points(-0.1234) == "−12.3"
    assert points(0.1) == "+10.0"

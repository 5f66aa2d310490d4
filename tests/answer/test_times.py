"""Times of day: their one form, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.answer import equal, normalise
from whorl.answer.times import in_one_form, is_time


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("4:30 PM", "4:30pm"),
        (r"\text{4:30 p.m.}", "4:30pm"),
        (r"4:30\,\mathrm{P.M.}", "4:30pm"),
        ("8 AM", "8:00am"),
        ("8AM", "8:00am"),
        ("7 o'clock in the morning", "7:00am"),
        (r"7:15\text{ in the afternoon}", "7:15pm"),
        ("9 at night", "9:00pm"),
        ("noon", "12:00pm"),
        ("12:00 noon", "12:00pm"),
        (r"12\text{ midnight}", "12:00am"),
        ("8am", "8am"),  # perhaps a product
        ("5 apples", "5"),
        ("3 in the afternoons", "3in the afternoons"),
    ],
)
def test_a_time_has_one_form(written: str, plain: str) -> None:
    assert normalise(written) == plain


def test_what_is_said_behind_a_time_stays_text() -> None:
    assert in_one_form(r"8\text{ a.m. on Monday}") == r"8:00am\text{  on Monday}"


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [
        ("3:00 PM", "4:00 PM", False),
        ("3:00 PM", "3:00 AM", False),
        ("3:00 PM", "3 p.m.", True),
        ("8am", "8 AM", True),
        ("8am", "8pm", False),
        (r"7\text{ in the morning}", r"7\text{ in the evening}", False),
        ("12 noon", "12 midnight", False),
        ("3 at night", "3 pm", None),
        ("8", "8 AM", None),
    ],
)
def test_two_times_are_compared(one: str, other: str, verdict: bool | None) -> None:
    assert equal(one, other) is verdict
    assert equal(other, one) is verdict


times = st.tuples(st.integers(1, 12), st.integers(0, 59), st.sampled_from("ap"))


@given(times, times, st.sampled_from(["{}.m.", "{}m", r"\text{{ {}.m.}}"]))
def test_times_are_the_same_where_all_of_them_is(
    one: tuple[int, int, str], other: tuple[int, int, str], spelling: str
) -> None:
    left = f"{one[0]}:{one[1]:02} {one[2].upper()}M"
    right = f"{other[0]}:{other[1]:02} {spelling.format(other[2])}"
    assert is_time(normalise(left)) and is_time(normalise(right))
    assert equal(left, right) is (one == other)

"""Numbers in words, with halves, and in order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.answer import equal
from whorl.answer.spoken import in_figures, ordinal


@pytest.mark.parametrize(
    ("spoken", "figures"),
    [
        ("four", "4"),
        (r"\text{zero}", "0"),
        ("Twenty-one", "21"),
        ("one hundred and five", "105"),
        ("two thousand three hundred", "2300"),
        ("five hundred thousand", "500000"),
        ("four million", "4000000"),
        ("ten dollars", "10 dollars"),
        (r"\text{four} \text{ hours}", r"4 \text{ hours}"),
        ("2 and a half hours", "2 1/2 hours"),
        (r"2 \text{ and a half}", "2 1/2"),
        ("two and a half", "2 1/2"),
    ],
)
def test_numbers_in_words_are_written_in_figures(spoken: str, figures: str) -> None:
    assert in_figures(spoken) == figures


@pytest.mark.parametrize(
    "text",
    [
        *("one half", "one third", "three quarters", "nine-tenths", "three twentieths"),
        *("two to one", "seven minus two", "four squared", "one of the above", "twenty one one"),
        *("two lines", "ten apples", "Eight pieces of pie"),  # the noun may be what was asked for
        *("tension", "x and a half", r"\frac{1}{2} and a half", "no solutions"),
    ],
)
def test_what_says_more_than_a_number_stays(text: str) -> None:
    assert in_figures(text) == text


_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@given(st.integers(0, 10), st.integers(0, 10))
def test_a_word_is_its_number_and_no_other(word: int, number: int) -> None:
    assert equal(str(number), _WORDS[word]) is (word == number)
    assert equal(f"{number} feet", f"{_WORDS[word]} feet") is (word == number)


@pytest.mark.parametrize(
    ("body", "number"),
    [
        *(("1st", 1), ("2nd", 2), ("3rd", 3), ("7th", 7), ("11th", 11), ("21st", 21)),
        *(
            ("112th", 112),
            ("112^th", None),
            ("3th", None),
            ("11st", None),
            ("7^{n}", None),
            ("1/7th", None),
        ),
    ],
)
def test_ordinals_end_as_their_number_does(body: str, number: int | None) -> None:
    assert ordinal(body) == number


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [
        ("7", "7th", True),
        ("2", r"2^{nd}", None),  # a power, for all we know
        (r"7\%", "7th", None),
        ("0", "0th", True),
        ("8", "7th", False),
        ("7th", "8th", False),
        ("7", "1/7th", None),
        ("2nd", "2dn", None),
        ("x", "7th", None),
        ("2.5", "2 and a half hours", True),
        ("2", "2 and a half hours", False),
    ],
)
def test_what_is_spoken_is_compared(one: str, other: str, verdict: bool | None) -> None:
    assert equal(one, other) is verdict
    assert equal(other, one) is verdict

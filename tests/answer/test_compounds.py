"""Measures in two units, beside others and beside plain numbers."""

import pytest

from whorl.answer import USUAL, Conventions, equal
from whorl.answer.compounds import in_two_units


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [
        ("5 feet 6 inches", "5.5", True),
        ("5 feet 6 inches", "5.5 feet", True),
        ("5 feet 6 inches", "66 inches", True),
        ("5 feet 6 inches", r"5 \text{ ft } 6\text{ in}", True),
        ("5 dollars and 25 cents", r"\$5.25", True),
        ("1 hour, 30 minutes", "90 minutes", True),
        ("5 feet 6 inches", "5 feet", False),
        ("5 feet 6 inches", "5 feet 7 inches", False),
        ("1 hour 30 minutes", "90", None),
        ("1 hour 30 minutes", "1 hour and 90 minutes", None),
        ("1 hour 30 minutes", "1 foot 30 inches", None),
        ("1 hour 30 minutes", "x", None),
    ],
)
def test_a_measure_in_two_units_is_one_value(one: str, other: str, verdict: bool | None) -> None:
    assert equal(one, other) is verdict
    assert equal(other, one) is verdict


@pytest.mark.parametrize("answer", ["5 m and 30 cm", "2 weeks 9 days", "6 inches 5 feet", "5 feet"])
def test_what_may_be_two_values_is_no_such_measure(answer: str) -> None:
    assert in_two_units("5.5", answer, USUAL) is None


def test_where_units_are_ignored_nothing_is_said() -> None:
    assert in_two_units("5.5", "5 feet 6 inches", Conventions(units="ignored")) is None

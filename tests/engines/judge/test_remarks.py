"""A bracket after a number and a blank: a remark, or a factor."""

import pytest

from whorl.engines.judge.decide import judge


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("18", "18 (9 * 2)"),
        ("18", "18 [9 * 2]"),
        ("18", "$18$ (9 * 2 = 18)"),
        ("18", "18 (or 36/2)"),
        ("18", "18 (since 9 * 2 = 18)"),
        ("18", "18 eggs (9 * 2)"),
        ("18", "x = 18 (9 * 2)"),
        ("25000", "$25,000 (25 * 1000)"),
        ("1/2", r"\frac{1}{2} (50\%)"),
        ("1/2", "50% (1/2)"),
        ("0.5", "0.5 (1/2)"),
        ("60", "5 feet (60 inches)"),
        ("-3/2", r"-\frac{3}{2} (-1.5)"),
        ("1024", "2^{10} (1024)"),
    ],
)
def test_a_remark_of_the_same_value_is_left_out(gold: str, answer: str) -> None:
    assert judge(gold, answer).right is True
    assert judge(answer, gold).right is True
    assert judge(f"{gold} + 1", answer).right is False


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("18", "18 (20 - 18)"),
        ("36", "18 (20 - 18)"),
        ("36", "6 (6)"),
        ("324", "18 (9 * 2)"),
        ("1/4", r"\frac{1}{2} (50\%)"),
        ("12", "3 (4)"),
        ("3", "3 (4)"),
        ("3", "3 (x + 1)"),
        ("18", "18 (a + b)"),
        (r"\sqrt{2}", r"\sqrt{2} (1.414)"),
        ("18, 20", "18 (9 * 2) and 20 (4 * 5)"),
        ("324, 400", "18 (9 * 2) and 20 (4 * 5)"),
    ],
)
def test_what_may_be_a_remark_of_another_value_is_undecided(gold: str, answer: str) -> None:
    assert judge(gold, answer).right is None


@pytest.mark.parametrize(
    ("gold", "answer", "right"),
    [
        ("2 (x+1)", "2x + 2", True),
        ("2x + 2", "2 (x+1)", True),
        ("3 (4)", "12", True),
        ("3 (4)", "3 (4)", True),
        ("18", "6(3)", True),
        (r"\sqrt{2}+\sqrt{6}", r"\sqrt{2} (1+\sqrt{3})", True),
        (r"6\sqrt{2}", r"6 (\sqrt{2})", True),
        ("7", "3 (4)", False),
        ("19, 20", "18 (9 * 2) and 20 (4 * 5)", False),
        ("10 (mod 7)", "3 (mod 7)", True),
    ],
)
def test_products_stay_products(gold: str, answer: str, right: bool) -> None:
    assert judge(gold, answer).right is right

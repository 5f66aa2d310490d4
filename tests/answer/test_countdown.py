"""Countdown answers: which expressions make the target, and what is no expression."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.answer import countdown
from whorl.answer.countdown import check, gold
from whorl.data.countdown import reachable

GOLD = gold(24, (3, 3, 8, 8))


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (GOLD, "8/(3-8/3)"),
        (GOLD, r"\frac{8}{3 - \frac{8}{3}}"),
        (GOLD, r"8 \div \left(3 - 8 \div 3\right)"),
        (GOLD, "8 ÷ (3 − 8 ÷ 3) = 24"),
        (GOLD, "$8/(3-8/3)=24$"),
        (GOLD, "24 = 8/(3-8/3)."),
        (GOLD, "8/(3-8/3) = 24.0"),
        ("24 from 3 4 5 6", r"[3 + 4 + 5] \times 6 - 6 + 6"),
        ("10 from 10 10 10", "10*10/10"),
        ("24 from 3 4 4", "3(4 + 4)"),
        ("1 from 100000 100000", "100000/100000"),
    ],
)
def test_an_expression_that_makes_the_target_is_right(asked: str, answer: str) -> None:
    wrong = asked == "24 from 3 4 5 6"  # 6 three times
    assert check(asked, answer).right is not wrong


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("8*3", "leaves out 3"),
        ("8*3*8/8+3-3", "uses 3 more often"),
        ("3*8+3-3*8/8-8", "more often"),
        ("8/(3-8/3) = 25", "says that it makes 25"),
        ("8/(3-8/3) = 24 = 24", "says that it makes"),
        ("25 = 8/(3-8/3)", "says that it makes 8/"),
        ("8/(3-8/3) = 24.5", "says that it makes 24.5"),
        ("24 = 8*3", "leaves out 3"),
        ("24 = 24", "not given"),
        ("24 =", "not given"),
        ("8+8+3+3", "makes 22"),
        ("(8-8)/(3-3)", "divides by zero"),
        ("38-8-3-3", "not given"),
        ("8**3/3/8", "more than"),
        ("88//33", "more than"),
        ("8//3+8-3", "more than"),
        ("-3+8+8+3", "more than"),
        ("8-+3+8+3", "more than"),
        ("3.3*8*8", "no expression"),
        ("3 3 8 8", "no expression"),
        ("8_8+3+3", "no expression"),
        ("__import__('os').system('true')", "no expression"),
        ("(8, 3, 8, 3)", "no expression"),
        ("eight", "no expression"),
        ("", "no expression"),
        ("(" * 150 + "8" + ")" * 150, "leaves out 3"),
        ("8/(3-8/3)" + " " * 1_000_000, "over 400 characters"),
        ("008/(3-8/3)", "no expression"),
        ("٨/(3-8/3)", "no expression"),
    ],
)
def test_anything_else_is_wrong_and_says_why(answer: str, reason: str) -> None:
    verdict = check(GOLD, answer)
    assert verdict.right is False
    assert reason in verdict.reason


def test_huge_values_are_exact() -> None:
    numbers = (999999, 999998, 999997, 999996, 999995, 999994)
    expression = "*".join(map(str, numbers[:5])) + f"/{numbers[5]}"
    assert check(gold(1, numbers), expression).right is False


def test_a_gold_answer_that_says_nothing_is_refused() -> None:
    assert countdown.fault("24") != ""
    with pytest.raises(ValueError, match="not like"):
        check("24", "24")


@given(st.lists(st.integers(1, 12), min_size=2, max_size=4))
def test_what_the_numbers_can_make_is_right_and_nothing_else(numbers: list[int]) -> None:
    given_numbers = tuple(sorted(numbers))
    for value, expression in list(reachable(given_numbers).items())[:40]:
        assert check(gold(value, given_numbers), expression).right is True
        assert check(gold(value + 1, given_numbers), expression).right is False


@given(st.text(alphabet="0123456789+-*/() .=\\frac{}", max_size=60))
def test_no_text_does_anything_but_be_judged(answer: str) -> None:
    verdict = check(GOLD, answer)
    assert verdict.right in (True, False)
    if verdict.right:
        assert Fraction(eval(answer.rstrip(". ").partition("=")[0])).limit_denominator(1000) == 24

"""When a solution is at its end."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.answer import extract
from whorl.answer.conclusion import concluded, settled


@pytest.mark.parametrize(
    "text",
    [
        "Let's check that the answer is correct.",
        "We verify that our final answer is right, since 3+4=7.",
        "Now we make sure the answer is 7 by adding again.",
        "This means that the answer is not correct.",
        "To see whether the answer is reasonable, round the numbers.",
        "The right side is \\[12x + \\boxed{\\phantom{2}}.\\]",
        "The final answer is \\boxed{answer}.",
        "I put it in \\boxed{\\text{your answer here}}.",
        "The final answer is $answer$.",
        "What goes into $\\boxed{?}$ and into $\\fbox{ \\square }$?",
        "If the answer is 7, then we need one more.",
        "Suppose that our final answer is 7.",
        "The answer is not 7, let me count again.",
        "Hence the answer is obtained by adding 3 and 4.",
        "The answer is given by the sum of both.",
        "First we add.",
    ],
)
def test_a_check_and_a_blank_conclude_nothing(text: str) -> None:
    assert concluded(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "We check: 3+4=7, so the answer is 7.",
        "The answer is 7. Let's check that the answer is correct.",
        "We confirm that the answer is \\boxed{7}.",
        "Fill \\boxed{?} in: the answer is 7",
        "It is \\boxed{7}. I end with \\boxed{answer}, as I was told.",
        "#### 7",
        "**Answer:** 7",
        "If the answer is whole, we are done. The answer is 7.",
        "The answer is not 8. The answer is 7.",
        "As was found above, the answer is 7",
    ],
)
def test_a_box_and_a_closing_statement_conclude(text: str) -> None:
    assert concluded(text) == "7"


def test_a_right_angle_is_an_answer() -> None:
    assert concluded("The answer is right angle.") == "right angle"


@given(st.text(alphabet="answer is correct\\boxed{}?_7. ", max_size=80))
def test_nothing_is_read_that_the_text_does_not_hold(text: str) -> None:
    found = concluded(text)
    assert found is None or found == extract(settled(text))
    assert len(settled(text)) <= len(text)


def test_hostile_texts_are_read_quickly() -> None:
    started = time.process_time()
    for text in ("check " * 10**5 + "answer", "\\boxed{" + "? " * 10**5, "answer is " * 10**5):
        concluded(text)
    assert time.process_time() - started < 5

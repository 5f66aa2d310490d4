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


@pytest.mark.parametrize(
    "text",
    [
        "**Answer:** To find the number of apples, we add 3 and 4.",
        "Answer: Let's solve this step by step.",
        "### Answer\n\nTo find the total we add the apples first",
        "**Answer**\n\nWe need to find how many apples there are.",
        "Answer: First, we add 3 and 4.",
        "To get the answer: multiply 3 by 4.",
        "The final answer is in the form $a+b\\sqrt{c}$, where a, b and c are integers.",
        "Since the answer is in minutes, we convert hours to minutes: 2*60 = 120.",
        "The answer is in dollars.",
        "The answer is expressed as a fraction m/n. Let us find m and n.",
        "Note: the answer is required in the form m+n.",
        "The answer is to be rounded to the nearest integer.",
        "The correct answer is obtained once we know x.",
        "Step 1: Understand the problem. The answer is what we need to find.",
        "The answer is positive, so we take the positive root.",
        "The answer is the sum of the two amounts.",
        "The answer is already simplified.",
        "Answer: Therefore, we add the two",
        "**Answer:** In order to find the total we add",
        "Answer: Okay, let's add",
        "Answer: Adding the two gives",
        "The answer is as follows:",
        "Answer: Step 1: we add 3 and 4.",
    ],
)
def test_an_opening_and_what_is_said_of_the_kind_of_answer_conclude_nothing(text: str) -> None:
    assert concluded(text) is None
    assert concluded(f"{text} The answer is 7.") == "7"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is 42 apples.", "42 apples"),
        ("The answer is Tuesday.", "Tuesday"),
        ("So the answer is x = 3, because 2 + 1 = 3.", "x = 3"),
        ("The answer is 7. The answer is in minutes, as was asked.", "7"),
        ("Answer: To find the total we add 3 and 4, so the total is 7.", "7"),
        ("Answer: We need 7 apples.", "7 apples"),
        ("The answer is found to be 12.", "12"),
        ("The answer is in 3 hours.", "in 3 hours"),
        ("The answer is in the second quadrant.", "in the second quadrant"),
        ("The answer is to the left.", "to the left"),
        ("The answer is the number 7.", "the number 7"),
        ("Answer: There is no solution.", "There is no solution"),
        ("The answer is in the form $a+b$, so it is \\boxed{2+3}.", "2+3"),
        ("The answer is Step 3.", "Step 3"),
        ("Answer: Multiply by 2", "Multiply by 2"),
        ("**Answer:** We can seat 24 people.", "We can seat 24 people"),
        ("Answer: You have to drive 30 miles", "You have to drive 30 miles"),
        ("The answer is in simplest form 3/4", "in simplest form 3/4"),
        ("The answer is already in simplest form: $3/4$", "already in simplest form: $3/4$"),
    ],
)
def test_an_answer_in_words_concludes(text: str, answer: str) -> None:
    assert concluded(text) == answer


def test_a_right_angle_is_an_answer() -> None:
    assert concluded("The answer is right angle.") == "right angle"


@given(st.text(alphabet="answer is correct\\boxed{}?_7. ", max_size=80))
def test_nothing_is_read_that_the_text_does_not_hold(text: str) -> None:
    found = concluded(text)
    assert found is None or found == extract(settled(text))
    assert len(settled(text)) <= len(text)


def test_hostile_texts_are_read_quickly() -> None:
    started = time.process_time()
    for text in (
        "check " * 10**5 + "answer",
        "\\boxed{" + "? " * 10**5,
        "answer is " * 10**5,
        "answer: let's " * 10**5,
    ):
        concluded(text)
    assert time.process_time() - started < 5

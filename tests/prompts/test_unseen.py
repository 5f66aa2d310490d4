"""Solutions that speak of what only their writer was shown."""

import pytest

from whorl.prompts.unseen import speaks_of_unseen

SPOKEN = [
    "- The other answers provided (28, 23, or 50 solar systems) are incorrect because:",
    "John found 295 or 307, but the problem states that all of that is wrong.",
    "The average is given as 1.33 or 28 or -0.33. However, all of that is wrong.",
    "The total is 600,000 feet, which matches the given options.",
    "- Others found 2497 jars, or 984 jars.",
    "The answer 28 is incorrect, so we add again.",
    "28 is not a correct number of guests.",
    "It is 23 or 28.",
    "The other solutions are wrong, as they count twice.",
    "The given solution forgets the tax.",
    "As the critique says, the sum is 12.",
    "Following the feedback, 3 + 4 = 7.",
    "Unlike the original solution, we add first.",
    "This agrees with the reference answer.",
    "**Alternatives:** none",
    "Advice on how to rewrite the step: it is fine.",
    "Review every step.",
    "根据反馈，3+4=7。",
]
OWN = [
    "",
    "Substitute the given values: 28 + 23 = 51.",
    "Add the costs from the previous steps: 28 + 4.",
    "The original price is 28, the other value is 23.",
    "This is incorrect because it implies that there were no kids. Let us look again.\nIt is 28.",
    "It is 23 or 29.",
    "128 and 1.28 are not the right ones.",
    "The answer 5 is wrong.",
    "The correct answer is 12.",
    "So x = 28 or 23, and their product is 644.",
    "There are no other solutions.",
    "Both roots check: there are no other answers.",
    "The other solutions, which are negative, are left out.",
    "The given solution is 30% acid, and 28 litres of it are there.",
    "Substitute the previous solution of the quadratic.",
    "One root is 28; the other solution is 12.",
    "The only other option is 28.",
    "As x > 0, the root 28 is invalid, and 23 is not a valid length.",
    "With sides 28 and 23 it is not a right triangle, nor 28 degrees a right angle.",
]


@pytest.mark.parametrize("text", SPOKEN)
def test_what_speaks_of_a_request_is_known(text: str) -> None:
    assert speaks_of_unseen(f"First we add.\n\n{text}\n\n\\boxed{{12}}", "Add.", ["28", "23"])


@pytest.mark.parametrize("text", OWN)
def test_a_solution_of_its_own_is_none(text: str) -> None:
    assert not speaks_of_unseen(f"First we add.\n\n{text}\n\n\\boxed{{12}}", "Add.", ["28", "23"])


def test_words_of_the_question_are_no_sign() -> None:
    question = "Ann had 28 answers, 5 of them wrong. She got feedback. Is it 23 or 28?"
    assert not speaks_of_unseen("28 - 5 wrong = 23. Feedback: 23 or 28.", question, ["28", "23"])


def test_choices_that_the_question_offers_are_seen() -> None:
    question, said = "Add. (A) 28 (B) 12", "Of the given options, A is incorrect."
    assert not speaks_of_unseen(said, question, ["A"])
    assert not speaks_of_unseen(said, question, ["(A)"])
    assert speaks_of_unseen(said, "Add.") and speaks_of_unseen("A is incorrect.", "Add.", ["A"])
    assert speaks_of_unseen("28 is incorrect.", question, ["A", "28"])
    assert speaks_of_unseen("Others found A; all of that is wrong.", question, ["A"])

"""Recall of test questions: where a question is cut, and what counts as knowing it."""

from hypothesis import given
from hypothesis import strategies as st

from whorl.ask import Ask, Replies, Reply
from whorl.engines.function import Function
from whorl.evaluate.recall import Recalled, _cut, recall_questions
from whorl.problem import Problem

QUESTION = "Mia has 7  apples\nand buys 5 more. How many apples does she have?"


def recalled(text: str, problem: Problem, asked: list[Ask] | None = None) -> list[Recalled]:
    def answer(ask: Ask) -> Replies:
        if asked is not None:
            asked.append(ask)
        return (Reply(text),)

    return list(recall_questions([problem], {"policy": Function(answer)}, share=0.6))


def test_the_rest_word_for_word_and_the_answer() -> None:
    problem, asked = Problem("p", QUESTION, "12"), list[Ask]()
    (one,) = recalled(
        "How many apples does\nshe have?\n\n7+5=12. The answer is 12.", problem, asked
    )
    assert asked[0].prompt.prefix == "Mia has 7  apples\nand buys 5 more."
    assert (asked[0].prompt.system, asked[0].prompt.user, asked[0].temperature) == ("", "", 0.0)
    assert one.rest == "How many apples does she have?" and one.exact and one.right
    (one,) = recalled("How many pears does she have? \\boxed{12}", problem)
    assert (one.exact, one.right) == (False, True)
    (one,) = recalled("How many apples does she have?", problem)
    assert (one.exact, one.right) == (True, False)
    (one,) = recalled("How many apples does she", problem)
    assert not one.exact, "a part of the rest is not the rest"


def test_a_question_of_one_word_is_passed_over_and_a_failure_is_said() -> None:
    assert recalled("x", Problem("p", "12+5?", "17")) == []

    def broken(ask: Ask) -> Replies:
        raise ValueError("out of order")

    (one,) = recall_questions([Problem("p", QUESTION, "12")], {"policy": Function(broken)})
    assert "out of order" in one.error and not one.exact


@given(st.text(" \nab.", min_size=1, max_size=40), st.floats(0.01, 0.99))
def test_what_is_shown_and_the_rest_are_the_question(question: str, share: float) -> None:
    shown, rest = _cut(question, share)
    words = question.split()
    if len(words) > 1:
        assert shown.split() + rest.split() == words and shown.split() and rest.split()
        assert question.startswith(shown)
    else:
        assert not (shown and rest)

from dataclasses import replace
from pathlib import Path

import pytest

from whorl.data.shown import check_examples
from whorl.errors import UserError
from whorl.prompts.wording import WHORL, Request, Shot, Wording

TEST = """\
{"id": "a", "question": "What is x if 2*(x-5)=10?", "answer": "10"}
{"id": "b", "question": "Ann has 3 red and 4 blue pens and buys 12 more. How many has she?", \
"answer": "19"}
{"id": "c", "question": "1+1?", "answer": "2"}
"""
SOLVED = "Add them.\n\nThe answer is \\boxed{19}."


@pytest.fixture
def held(tmp_path: Path) -> Path:
    (tmp_path / "test.jsonl").write_text(TEST)
    return tmp_path / "test.jsonl"


def shot(question: str, solution: str = SOLVED) -> Wording:
    return replace(WHORL, examples=(Shot(question, solution),))


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (
            shot("what is X,\n if 2 * ( x - 5 ) = 10 ?"),
            "example 1 shows the text of a test problem",
        ),
        (shot("What is $x$ if $2 \\cdot (x-5) = 10$?"), "example 1 shows"),
        (shot("What is x if \\(2(x-5)=10\\)?"), "example 1 shows"),
        (shot("Question: What is x if 2*(x-5)=10? Think."), "the words of a test problem: a in"),
        (shot("Ann has 3 red and 4 blue pens and buys 12 more. How many pens?"), "shows 13 words"),
        (
            shot("What is x if x=1?", "Ann has 3 red and 4 blue pens and buys 12 more. How many"),
            "the solution of example 1 shows 13 words",
        ),
        (
            replace(WHORL, solve=Request("", "Q: What is x if 2*(x-5)=10?\nA: 10\nQ: {question}")),
            "solve.user shows the words of a test problem: a in",
        ),
        (replace(WHORL, solve=Request(TEST, "{question}")), "solve.system shows"),
    ],
)
def test_a_test_question_is_not_shown(words: Wording, why: str, held: Path) -> None:
    with pytest.raises(UserError, match=why):
        check_examples(words, held)


@pytest.mark.parametrize(
    "question",
    [
        "What is x if 2*(x-5)=10-y?",  # the formula goes on
        "What is x if 2*(x-5)=100?",
        "What is x if 2*(x+5)=10?",
        "Ann has 3 red and 5 blue pens and buys 12 more. How many has she?",
        "So what is 1+1? And 2+2?",
    ],
)
def test_another_question_is_shown(question: str, held: Path) -> None:
    check_examples(shot(question), held)

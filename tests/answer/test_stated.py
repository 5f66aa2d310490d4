"""What real models write around an answer, and texts that would cost a careless pattern hours."""

import time
from collections.abc import Callable

import pytest

from whorl.answer import concluded, extract, first_solution, gold_in, normalise, parsable, read
from whorl.prompts.critique import read_critique, read_critiques
from whorl.prompts.revision import read_solution, read_step


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>It might be \\boxed{12}.</think>\n\nThe answer is 73.", "73"),
        ("<think>so \\boxed{12}", None),
        ("<think>so \\boxed{12}</think>", None),
        ("so \\boxed{12}</think>Hence \\boxed{13}", "13"),
        ("<think>a</think><THINK>b \\boxed{1}</THINK> \\boxed{2}", "2"),
        ("\\boxed{4} <think> let me check \\boxed{5}", "4"),
        ("<think>12? No, 73.</think>\n<answer>73</answer>", "73"),
        ("<answer>The answer is 73.</answer>", "73"),
        ("<answer>\\boxed{73}</answer>", "73"),
        ("\\boxed{12} was wrong <answer>73</answer>", "73"),
        ("<answer></answer> The answer is 73.", "73"),
        ("**Final Answer**\n\n73", "73"),
        ("**Final Answer:**\n\n\\[73\\]", "73"),
        ("**Final Answer**\n\n$$\n73\n$$", "73"),
        ("**Answer**: $73$", "73"),
        ("**Answer:**\n73", "73"),
        ("**The answer is 73**", "73"),
        ("### Final Answer\n\n**73**", "73"),
        ("Final Answer\n\n73", "73"),
        ("Answer\n======\n73", "73"),
        ("The answers are 3 and 5.", "3 and 5"),
        ("Thus the answer = 5", "5"),
        ("My answer: `73`", "73"),
        ("#### 42\nHope it helps!", "42"),
        ("#### 3. Solve\nSo we get 7", None),
        ("so the value is $\\boxed 9$.", "9"),
        ("so it is $\\boxed\\frac{1}{2}$.", "\\frac{1}{2}"),
        ("\\boxed 12 is it", "12"),
        ("答案是5。", "5"),
        ("所以答案为：$\\frac{1}{2}$。", "\\frac{1}{2}"),
        ("最终答案：12", "12"),
        ("The answers are $2$ and $3$.", "2, 3"),
        ("The answer is $2$ or 3.", "2, 3"),
        ("Answer: $2$, $3$", "2, 3"),
        ("**Final Answer**\n\n$2$ and $3$", "2, 3"),
        ("答案是 $2$ 或 $3$。", "2, 3"),
        ("**Final Answer**\n$2$\n$3$", "2, 3"),
        ("Final Answer:\n- 2\n- 3", "2, 3"),
        ("The answer is:\n* $2$\n* $3$", "2, 3"),
        ("Answer:\n1. $x = 2$\n2. $y = 3$", "x = 2, y = 3"),
        ("Final answer:\n- 5 apples", "5 apples"),
        ("Answer:\n1.5", "1.5"),
        ("Answer:\n\n$$4$$\n\n$$2 + 2$$", "4"),
        ("Answer: - 5", "- 5"),
        ("The answer: the 8th grade should have 10 representatives.", "10 representatives"),
        ("Final answer: Tom has $5$ apples.", "5"),
        ("Answer: they paid $18 a day", "$18 a day"),
        ("Answer: Tom has 5 and Bob has 6", "Tom has 5 and Bob has 6"),
        ("Answer: Tom does not have 5", "Tom does not have 5"),
        ("Final Answer\n5\n6", "5, 6"),
        ("\\text{The answer is } 5", "5"),
        ("so x is 2\\boxed{5}", "so x is 2(5)"),
        ("Answer: Tom has less than 5 apples", "Tom has less than 5 apples"),
        ("The answer is $2$ million.", "$2$ million"),
        ("The answer is $2$%.", "$2$%"),
        ("The answer is $2$/$3$", "$2$/$3$"),
        ("The answer is $2$ hours $30$ minutes.", "$2$ hours $30$ minutes"),
        ("The answer is $2$ $\\times$ $10^3$", "$2$ $\\times$ $10^3$"),
        ("The answer is $2$ less than $x$.", "$2$ less than $x$"),
        ("The answer is $2$ apples, as $1+1=2$.", "2"),
        ("The answer is $2$ and we are done.", "2"),
        ("答案是 $2$ 元。", "2"),
        ("The answer is therefore 5.", "5"),
        ("The answer is equal to $5$.", "5"),
        ("The answer is thus: $x=5$", "x=5"),
        ("The answer is 5, i.e. five apples.", "5"),
        ("The answer is the sum of 2 and 3, which is 5.", "the sum of 2 and 3"),
        ("The answer is $120$!", "120"),
        ("It is \\boxed{120}!", "120"),
        ("It is \\boxed{120}! Great", "120"),
        ("**It is \\boxed{120}!**", "120"),
        ("It is $\\boxed{5}!$", "5!"),
        ("It is $x = \\boxed{5}! = 120$", "5!"),
        ("It is \\boxed{5!}", "5!"),
        ("Answer: Jill's annual salary is $25,000.", "$25,000"),
        ("Answer: Jill’s x-coordinate is -5", "-5"),
        ("Answer: the number of 3-digit primes is five.", "five"),
        ("Answer: the area for 3 rows is n(n+1).", "n(n+1)"),
        ("Answer: The price of 3 books is **15**.", "15"),
        ("Answer: The total is 18 and all are sold.", "18 and all are sold"),
        ("Answer: Of the 3 children, the oldest is Tom.", "Tom"),
        ("Answer: the day is Tuesday.", "Tuesday"),
        ("Answer: Out of the 20 students, 5 are boys.", "Out of the 20 students, 5 are boys"),
        ("Answer: Of $20$ students, $5$ are boys.", "Of $20$ students, $5$ are boys"),
        ("Answer: A total of 18 eggs are sold.", "A total of 18 eggs are sold"),
        ("The answer is that 18 eggs are left.", "that 18 eggs are left"),
        ("Answer: **18** (9 * 2)", "18 (9 * 2)"),
        ("**The answer is 18** eggs", "18 eggs"),
        ("Answer: 2**10", "2**10"),
        ("Answer: 2 ** 10", "2 ** 10"),
    ],
)
def test_an_answer_is_found_where_models_state_it(text: str, answer: str | None) -> None:
    assert extract(text) == answer


def test_a_short_text_after_a_thought_is_an_answer() -> None:
    assert read("<think>12? 73.</think>\n73") == "73"
    assert read("<think>12? 73") is None


@pytest.mark.parametrize(
    ("cell", "gold"),
    [
        ("He has 3.\n#### 1,250", "1,250"),
        ("We add: the value is $\\boxed 9$.", "9"),
        ("The answer is: 5", "5"),
        (r"\frac{1}{2}", r"\frac{1}{2}"),
        ("no real solutions", "no real solutions"),
        (
            "all functions $f(x) = ax$ for some $a > 0$",
            "all functions $f(x) = ax$ for some $a > 0$",
        ),
        ("Let's think step by step.", None),
        ("First add the two numbers, and then divide the sum by three", None),
        ("so \\boxed{", None),
        ("", None),
    ],
)
def test_a_gold_is_never_a_sentence_without_an_answer(cell: str, gold: str | None) -> None:
    assert gold_in(cell) == gold


SIZE = 1_000_000
PIECES = [
    *("\n", "7", "7)", "[", "(", "{", "\\", " ", "a", "\t", "*", "#", "$", "\n ", "7 ", "1,", "."),
    *("\\boxed ", "\\boxed\n", "\\boxed{", "answer", "answer ", "answer\n", "answer is ", "**"),
    *(
        "<think>",
        "</think>",
        "<answer>",
        "</answer>",
        "#### ",
        "####\n",
        "A:",
        "答案",
        "\nQ:",
        "- ",
    ),
    *("Errors: a\n", "Step 1: a\n", "```\n{", "Sure!\n", "; Errors:"),
    *(r"\(", r"\[", "$1", "7%", "1/", "\\frac", "\\text{", "\\pm", "Step 1", "Verdict", "|", "_{"),
]
READERS: list[Callable[[str], object]] = [
    lambda text: read(text, guess=True),
    lambda text: extract(f"The answer is {text}"),
    lambda text: extract(f"\\boxed{{{text}}}"),
    first_solution,
    normalise,
    parsable,
    lambda text: normalise(text[:2_000]),
    read_critique,
    lambda text: read_critique(f"Errors: {text}"),
    lambda text: read_critiques(text, 3),
    read_step,
    lambda text: read_step(text, text[-50:], text[:2_000]),
    read_solution,
    concluded,
]


@pytest.mark.parametrize("piece", PIECES)
def test_every_reader_takes_linear_time(piece: str) -> None:
    text = (piece * (SIZE // len(piece) + 1))[:SIZE]
    for reader in READERS:
        begun = time.process_time()
        reader(text)
        assert time.process_time() - begun < 2  # on a loaded machine; in peace below 1

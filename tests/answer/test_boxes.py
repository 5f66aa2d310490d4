"""What stands beside a box: the rest of its formula, or layout that says nothing."""

import pytest

from whorl.answer import extract


@pytest.mark.parametrize(
    "before",
    [
        "So she has 3 + 4 = 7\n",
        "(3 + 4 = 7)\n",
        "Great!\n",
        "It is 3 -\n",
        "Final Answer:\n- ",
        "Final Answer:\n-   ",
        "$$9 \\cdot 2$$\n- ",
        "Final Answer:\n* ",
        "Sum:\n+ ",
        "> ",
        ">",
        "> - ",
        "=> ",
        "9 * 2 => ",
        "9 * 2 --> ",
        "1) ",
        "1)",
        "2. ",
        "**Answer** ",
        "- **Answer** ",
        "Total - ",
        "Great! ",
    ],
)
def test_layout_before_a_box_is_no_part_of_it(before: str) -> None:
    assert extract(f"{before}\\boxed{{18}}") == "18"
    assert extract(f"{before}\\boxed{{18}} cm.") == "18"


@pytest.mark.parametrize("after", ["\n- check 3", "\n* check 3", "\n+ 4", "\n(9 * 2)", "\n\\times"])
def test_a_line_below_a_box_is_no_part_of_it(after: str) -> None:
    assert extract(f"so 3 \\boxed{{18}}{after}") == "18"


@pytest.mark.parametrize("mark", ["*", "**", "***", "_", "__"])
def test_emphasis_is_no_part_of_a_box(mark: str) -> None:
    for before in ("", "It is ", "- "):
        assert extract(f"{before}{mark}\\boxed{{18}}{mark} eggs") == "18"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("-\\boxed{18}", "-18"),
        ("So\n-\\boxed{18}", "-18"),  # a mark of an item has a blank
        ("So\n- $-\\boxed{18}$", "-18"),
        ("$$\n- \\boxed{18}\n$$", "- 18"),
        ("\\[ x =\n- \\boxed{18}\n\\]", "- 18"),
        ("9 * 2 -> -\\boxed{18}", "-18"),
        ("- 3 \\cdot \\boxed{6}", "3 \\cdot 6"),
        ("$2\\boxed{18}$", "2(18)"),
        ("2**\\boxed{3}", "2**3"),
        ("$2 *\\boxed{3}$", "2 *3"),
        ("$x - \\boxed{3}$", "x - 3"),
        ("$n! \\boxed{2}$", "n! 2"),
        ("x > \\boxed{3}", "x > 3"),
        ("\\boxed{2}\nmillion", "2 million"),
        ("\\boxed{2}\nor $3$", "2, 3"),
    ],
)
def test_a_box_that_is_part_of_a_formula_is_read_with_it(text: str, answer: str) -> None:
    assert extract(text) == answer

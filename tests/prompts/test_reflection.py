"""What is taken of a reflection."""

import pytest

from whorl.prompts.reflection import read_reflection

SAID = "The first error is in step 2: 3 + 4 is 7."


@pytest.mark.parametrize("before", ["\n\n", "\n\n**", "\n\n### ", " "])
def test_a_reflection_stands_before_the_line_that_ends_it(before: str) -> None:
    assert read_reflection(f"{SAID}{before}", stopped=True) == SAID.rstrip()


@pytest.mark.parametrize(
    "line",
    [
        "Corrected Solution:",
        "### Corrected Solution",
        "**Corrected solution**:",
        "- CORRECTED SOLUTION:",
        "**Revised solution:**",
        "The correct solution:",
        "\\section*{Corrected solution}",
    ],
)
def test_the_line_is_known_as_models_write_it(line: str) -> None:
    text = f"{SAID}\n\n{line}\n\n3 + 4 = 7, so \\boxed{{7}}."
    assert read_reflection(text, stopped=False) == SAID


@pytest.mark.parametrize(
    ("text", "stopped"),
    [
        ('The first error is in the line "', True),
        ("Here is the **", True),
        ("", True),
        ("", False),
        ("This is how to mark it:\n```\n# Corrected solution:\n```", False),
    ],
)
def test_what_says_nothing_of_an_error_is_no_reflection(text: str, stopped: bool) -> None:
    assert not read_reflection(text, stopped=stopped)


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        (SAID, SAID),
        (f"{SAID}\n\nNow let's solve it again:\n\n3 + 4 = 7", SAID),
        (f"{SAID} The correct equation should be:\n\n\\[ 3 + 4 = 7 \\]", SAID),
        (f"{SAID} It should be 7, so the nex", SAID),  # at the limit of its tokens
        ("Step 2 is wrong.\n\nThe second error is in step 3.", "Step 2 is wrong."),
        (f"{SAID} So it is 7, e.g. 3 is wr", SAID),
        (f"{SAID}\r\n\r\n3 + 4 = 7, so \\boxed{{7}}.", SAID),
        (f"{SAID}\nLet us solve it again.\n3 + 4 = 7\nSo the answer is 7.", SAID),
        (f"### Error analysis\n\n{SAID}\n\n3 + 4 = 7", SAID),
        (f"Let's check the solution.\n\n{SAID}", SAID),
        ("第二步错了。应该是7。首先", "第二步错了。应该是7。"),
        ("第二步錯了。\n\n重新解答", "第二步錯了。"),
        ("没有错。解答正确。", ""),
        ("There is no error: the solution is correct.", ""),
        ("I checked it and no mistake was made.", ""),
        ("To solve the problem, we add 3 and 4.\n\nThe error is in step 2.", ""),
        ("The error is in step 2, so the answer is \\boxed{7}.", ""),
        ("The first error is in the addition:\n\n3 + 4 = 7", ""),
    ],
)
def test_without_the_line_it_is_the_first_paragraph_that_was_asked_for(
    text: str, taken: str
) -> None:
    assert read_reflection(text, stopped=False) == taken

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
        (SAID, False),
        ('The first error is in the line "', True),
        ("Here is the **", True),
        ("", True),
        ("This is how to mark it:\n```\n# Corrected solution:\n```", False),
    ],
)
def test_without_the_line_there_is_no_reflection(text: str, stopped: bool) -> None:
    assert not read_reflection(text, stopped=stopped)

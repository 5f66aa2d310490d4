"""What is taken of a reflection."""

import pytest

from whorl.ask import Reply
from whorl.prompts.reflection import read_reflection

SAID = "The first error is in step 2: 3 + 4 is 7."


@pytest.mark.parametrize("before", ["\n\n", "\n\n**", "\n\n### ", " "])
def test_a_reflection_stands_before_the_line_that_ends_it(before: str) -> None:
    assert read_reflection(Reply(f"{SAID}{before}", "stop")) == SAID.rstrip()


@pytest.mark.parametrize(
    "line",
    [
        "Corrected Solution:",
        "### Corrected Solution",
        "**Corrected solution**:",
        "- CORRECTED SOLUTION:",
    ],
)
def test_the_line_is_known_as_models_write_it(line: str) -> None:
    reply = Reply(f"{SAID}\n\n{line}\n\n3 + 4 = 7, so \\boxed{{7}}.", "eos")
    assert read_reflection(reply) == SAID


@pytest.mark.parametrize(
    "reply",
    [
        Reply(SAID, "eos"),
        Reply(SAID, "length"),
        Reply('The first error is in the line "', "stop"),
        Reply("Here is the **", "stop"),
        Reply("", "stop"),
        Reply("The corrected solution: 7.", "eos"),
    ],
)
def test_without_the_line_there_is_no_reflection(reply: Reply) -> None:
    assert not read_reflection(reply)

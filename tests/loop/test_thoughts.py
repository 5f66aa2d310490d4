"""What examples keep of thoughts."""

from collections.abc import Sequence

import pytest

from whorl.answer.thoughts import CLOSE, OPEN
from whorl.ask import Prompt
from whorl.errors import UserError
from whorl.example import Example, Pair, Weighted
from whorl.loop.thoughts import Taught, taught
from whorl.prompts.thinking import closing

ASKED = Prompt("", "1 + 1?")
LONG = "\n\n".join(f"part {k}" for k in range(9))
WHOLE = OPEN + closing(LONG, cut=True)
SHORT = OPEN + "part 0\n\npart 1\n\npart 7\n\npart 8" + CLOSE


def kept(examples: Sequence[Example], thoughts: str, **more: int) -> list[Example | None]:
    return list(taught(examples, Taught(thoughts, **more)))  # type: ignore[arg-type]


def test_a_thought_is_taught_whole_shortened_or_not_at_all() -> None:
    example = Weighted(ASKED, WHOLE + "It is 2.", 0.5, False, "p#/1")
    assert kept([example], "whole") == [example]
    (short,) = kept([example], "short")
    assert short == Weighted(ASKED, SHORT + "It is 2.", 0.5, False, "p#/1")
    (shorter,) = kept([example], "short", paragraphs=1)
    assert isinstance(shorter, Weighted)
    assert shorter.text == OPEN + "part 0\n\npart 8" + CLOSE + "It is 2."
    (none,) = kept([example], "none")
    assert none == Weighted(ASKED, "It is 2.", 0.5, False, "p#/1")


def test_a_thought_in_the_prompt_is_kept_as_one_in_the_text() -> None:
    behind = Prompt("", "1 + 1?", WHOLE + "First.\n\n")
    for thoughts, prefix in (("short", SHORT + "First.\n\n"), ("none", "First.\n\n")):
        (step,) = kept([Weighted(behind, "It is 2.")], thoughts)
        assert step == Weighted(Prompt("", "1 + 1?", prefix), "It is 2.")
    (pair,) = kept([Pair(ASKED, WHOLE + "It is 2.", OPEN + CLOSE + "It is 3.")], "none")
    assert pair == Pair(ASKED, "It is 2.", "It is 3.")


def test_a_mark_behind_the_thought_is_none_of_a_shortened_one() -> None:
    stray = WHOLE + "</think>\n\n" + OPEN + "Hm." + CLOSE + "It is 2."
    assert kept([Weighted(ASKED, stray)], "short") == [Weighted(ASKED, SHORT + "It is 2.")]
    begun = Prompt("", "1 + 1?", SHORT + "First.\n\n")
    for text in ("</think>\n\nIt is 2.", OPEN + "Hm." + CLOSE + "It is 2."):
        assert kept([Weighted(begun, text)], "short") == [Weighted(begun, "It is 2.")]


@pytest.mark.parametrize("thoughts", ["short", "none"])
def test_a_step_of_a_thought_is_left_out_of_what_has_none(thoughts: str) -> None:
    within = Prompt("", "1 + 1?", OPEN + "Hm.\n\n")
    steps = [Weighted(within, "2?\n\n"), Weighted(ASKED, OPEN + "Hm.\n\n", ended=False)]
    assert kept(steps, thoughts) == [None, None]
    assert kept(steps, "whole") == steps


def test_what_has_no_thought_stays_as_it_is() -> None:
    examples: list[Example] = [Weighted(ASKED, "It is 2 < 3."), Pair(ASKED, "2", "3")]
    for thoughts in ("whole", "short", "none"):
        assert kept(examples, thoughts) == examples


def test_no_paragraph_at_all_is_refused() -> None:
    with pytest.raises(UserError, match="paragraphs"):
        Taught("short", 0)

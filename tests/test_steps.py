"""Where a step ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.steps import BlankLine, Segmenter, StepMarker

TEXT = st.text(alphabet="ab \n\t1:.Step", max_size=80) | st.text(max_size=40)


@pytest.mark.parametrize("steps", [BlankLine(), BlankLine(min_chars=0), StepMarker()])
@given(text=TEXT)
def test_join_undoes_split(steps: Segmenter, text: str) -> None:
    pieces = steps.split(text)
    assert "".join(pieces) == text
    assert all(pieces)


def test_paragraphs_are_steps() -> None:
    text = "Leo has 12+5=17 cards.\n\nHe gives 4 away, 17-4=13.\n\n\nThe answer is \\boxed{13}."
    assert [piece.strip() for piece in BlankLine().split(text)] == [
        "Leo has 12+5=17 cards.",
        "He gives 4 away, 17-4=13.",
        "The answer is \\boxed{13}.",
    ]


def test_a_short_paragraph_joins_the_next_one() -> None:
    assert BlankLine().split("Solution:\n\nFirst we add the two numbers.\n\nDone.") == [
        "Solution:\n\nFirst we add the two numbers.\n\n",
        "Done.",
    ]


def test_a_single_line_break_ends_no_step() -> None:
    assert BlankLine(min_chars=0).split("one\ntwo\n \nthree") == ["one\ntwo\n \n", "three"]


def test_markers_begin_steps() -> None:
    text = "Let us see.\nStep 1: add.\nmore\nStep 2: halve. Step 3: not at a line's start."
    assert StepMarker().split(text) == [
        "Let us see.\n",
        "Step 1: add.\nmore\n",
        "Step 2: halve. Step 3: not at a line's start.",
    ]


def test_a_sampled_step_and_its_glue_read_as_the_model_wrote_it() -> None:
    written = "First step, long enough.\n\nSecond step, long enough."
    steps = BlankLine()
    first = written.split(steps.stop[0])[0]
    assert steps.split(written)[0] == first + steps.glue

"""Where a step ends."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.ask import Ask, Asking, Prompt, Replies, Reply
from whorl.drive import drive
from whorl.engines.function import Function
from whorl.rollout import Sampling, next_steps
from whorl.steps import AfterMarker, BlankLine, Segmenter, StepMarker, Tokens, Words

PIECES = st.sampled_from(
    [
        "\n\n",
        "\n",
        "```",
        "\\[",
        "\\]",
        "$$",
        "# a",
        "- b",
        "Step 1:",
        "**Step 2:**",
        "3. ",
        "So it is:",
        "c ",
    ]
)
TEXT = (
    st.text(alphabet="ab \n\t1:.Step", max_size=80)
    | st.text(max_size=40)
    | st.lists(PIECES, max_size=12).map("".join)
)
RULES = [
    *(BlankLine(), BlankLine(min_chars=0), StepMarker(), AfterMarker()),
    *(Words(), Words(size=3), Tokens(size=2)),
]


@pytest.mark.parametrize("steps", RULES)
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


ADD = "First we add the two numbers."


@pytest.mark.parametrize(
    "step",
    [
        "### Step 1: Add",
        "**Add the numbers**",
        "Let's solve this step by step:",
        "Let's break it down step-by-step.",
        "1. **Add the numbers**",
        "\\textbf{Add the numbers}",
        "\\subsection*{Step 1}",
        "Step 1:",
        "We multiply by $x$:\n\n\\[ 3x = 4 \\]",
        "\\[\n3x = 4\n\n+ 5\n\\]",
        "\\[ 3x = 4 \\]",
        "$$ 3x = 4 $$",
        "```python\nx = 3\n\nprint(x)\n```",
        "~~~\nx = 3\n\nprint(x)\n~~~",
        "- the first apple\n\n- the second apple",
        "Step One:",
        "Sure! Let's work through the problem.",
        "Certainly, here is how it goes.",
    ],
)
def test_what_goes_on_is_not_cut(step: str) -> None:
    text = f"{ADD}\n\n{step}\n\n{ADD}"
    first, *rest = BlankLine(min_chars=0).split(text)
    assert first.strip() == ADD
    assert rest[0].startswith(step)
    assert "".join(rest).strip().endswith(ADD) and len(rest) <= 2


def test_a_stray_mark_of_a_formula_does_not_hold_the_rest_together() -> None:
    text = "\n\n".join(["It costs 5$$ in all.", *[ADD] * 8])
    assert len(BlankLine(min_chars=0).split(text)) >= 5


@pytest.mark.parametrize(
    "step",
    ["1. **Count**: there are 5.\n   - 3 red\n   - 2 blue", "- one\n- two", "| a | b |\n| 1 | 2 |"],
)
def test_a_list_or_a_table_with_all_its_lines_is_a_step(step: str) -> None:
    text = f"{ADD}\n\n{step}\n\n{ADD}"
    assert [piece.strip() for piece in BlankLine(min_chars=0).split(text)] == [ADD, step, ADD]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Step 1: add.\n", "Step 2: halve."),
        ("### Step 1\nadd.\n\n", "### Step 2\nhalve: 1. this, 2. that"),
        ("**Step 1:** add.\n1. one\n2. two\n", "**Step 2:** halve."),
        ("1. Add.\n   1. nested\n", "2. Halve."),
        ("1. **Add**\n", "2. **Halve**"),
        ("**1.** Add.\n", "**2.** Halve."),
        ("\\textbf{Step 1:} add.\n", "\\textbf{Step 2:} halve."),
        ("*Step 1:* add.\n", "*Step 2:* halve."),
        ("- Step 1: add.\n", "- Step 2: halve."),
        ("> Step 1: add.\n", "> Step 2: halve."),
        ("STEP 1: add.\n", "  STEP 2: halve."),
        ("Step One: add.\n", "**Step Two:** halve."),
        ("Step #1: add.\n", "Step #2: halve."),
        ("步骤1：add.\n", "第 2 步：halve."),
    ],
)
def test_one_rule_for_the_markers_of_steps(first: str, second: str) -> None:
    assert StepMarker().split(first + second) == [first, second]


def test_a_state_ends_behind_a_marker_however_it_is_written() -> None:
    text = "add.\n**Step 2:** halve.\n### Step 3\nDone, by Step 2."
    assert AfterMarker().split(text) == [
        "add.\n**Step 2:**", " halve.\n### Step 3", "\nDone, by Step 2."
    ]  # fmt: skip


def test_words_and_tokens_are_counted() -> None:
    assert Words(size=2).split("one two three") == ["one two", " three"]
    assert Tokens(size=1).split("one two three") == ["one two", " three"]


def replayed(text: str) -> Function:
    """A model that writes `text` and nothing else, and stops where it is told to."""

    def answer(ask: Ask) -> Replies:
        rest = text[len(ask.prompt.prefix) :]
        cut = rest.partition(ask.stop[0])
        return (Reply(cut[0], "stop" if cut[1] else "eos", tokens=1),) * ask.n

    return Function(answer)


def searched(text: str, sampling: Sampling) -> Asking[list[str]]:
    """The steps that a search makes of `text`, one sampled behind the other."""
    steps: list[str] = []
    while True:
        prompt = Prompt("", "", "".join(steps))
        (reply,) = yield from next_steps(sampling, prompt, 1)
        ended = reply.finished == "eos"
        steps.append(reply.text + ("" if ended else sampling.steps.glue))
        if ended:
            return steps


PARAGRAPHS = st.sampled_from(
    [
        *(ADD, "Thus 4.", "So it is:", "# Title", "**Label**", "Step 3:"),
        *("\\[ 3x \\]", "\\[ 3x", "+ 4 \\]", "```", "- one", "1. **Count**: five of them."),
    ]
)


@given(st.lists(PARAGRAPHS, min_size=1, max_size=8), st.sampled_from([0, 20]))
def test_a_search_makes_the_steps_that_splitting_makes(parts: list[str], min_chars: int) -> None:
    text = "\n\n".join(parts)
    sampling = Sampling(steps=BlankLine(min_chars=min_chars))
    (done,) = drive([("p", searched(text, sampling))], {"policy": replayed(text)})
    assert done.error is None
    assert done.result == sampling.steps.split(text)


@pytest.mark.parametrize("piece", ["x\n\n", "- a\n\n", "Sure.\n\n", "a:\n\n", "$$\n\n", "# b\n\n"])
def test_what_waits_for_its_end_is_split_in_linear_time(piece: str) -> None:
    text = "```\n\n" + piece * (500_000 // len(piece))
    start = time.process_time()
    assert "".join(BlankLine().split(text)) == text
    assert time.process_time() - start < 5  # at 500 kB it was a minute and more

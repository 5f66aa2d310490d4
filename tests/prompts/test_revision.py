"""What is taken of a reviser's reply."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.prompts.revision import became, read_solution, read_step

STEP = "We count the apples after the purchase:\n\n12 - 4 = 8, so 8 are left."


@pytest.mark.parametrize(
    "reply",
    [
        STEP,
        f"Here is the rewritten step:\n\n{STEP}",
        f"Sure! Here's the revised next step:\n{STEP}",
        f"Certainly!\n\nHere is the corrected step.\n\n{STEP}",
        f"Let's continue from the solution so far:\n\n{STEP}",
        f"**Rewritten step:**\n\n{STEP}",
        f"### Revised Step 2\n\n{STEP}",
        f"Next step: {STEP}",
        f"Step 2: {STEP}",
        f"**Step 2:** {STEP}",
        f"Rewritten next step: Step 3: {STEP}",
        f"```text\n{STEP}\n```",
        f"Here is the rewritten step:\n\n```\n{STEP}\n```",
        f"You are correct.\n\n{STEP}",
        f"I apologize for the confusion. Here is the corrected step:\n\n{STEP}",
        f"Your edit is spot on. Here's the step:\n\n{STEP}",
        f"Problem: How many?\n\nSolution so far:\nnone\n\nNext step: {STEP}",
        f"{STEP}\n\nSolution so far:\n12 apples.",
        f"{STEP}\n\nCritique:\nErrors: none\nVerdict: keep",
        f"{STEP} [Q -1.0]\n\nRewrite the next step.",
    ],
)
def test_a_step_is_the_reply_without_what_stands_round_it(reply: str) -> None:
    assert read_step(reply) == STEP


def test_a_marker_that_the_step_had_stays() -> None:
    assert read_step("Step 2: 3+4=7", "Step 2: 3+4=8") == "Step 2: 3+4=7"
    assert read_step("Next step: Step 2: 3+4=7", "**Step 2:** 3+4=8") == "Step 2: 3+4=7"


BEHIND = {
    "an offer": "Let me know if you have any questions!",
    "a question": "Is there anything else I can help you with?",
    "what it does": "This revised step addresses the error that the critique points out.",
    "a note": "Note: I corrected the difference.",
    "changes under a ruler": "---\n\n**Changes made:**\n- corrected the difference",
    "changes and an offer": "### Key changes\n\n1. 8 for 9\n\nI hope this helps!",
}


@pytest.mark.parametrize("remark", BEHIND)
def test_what_is_said_of_a_revision_behind_it_is_cut_off(remark: str) -> None:
    said = BEHIND[remark]
    assert read_step(f"Sure! Here is the revised step:\n\n{STEP}\n\n{said}") == STEP
    assert read_step(f"Sure!\n\n```latex\n{STEP}\n```\n\n{said}") == STEP
    solution = "12 - 4 = 8.\n\nSo \\boxed{8} are left."
    assert read_solution(f"{solution}\n\n{said}") == solution


def test_an_only_answer_is_not_taken_for_a_remark() -> None:
    reply = "12 - 4 = 8.\n\nThe corrected step makes the answer \\boxed{8}."
    assert read_step(reply) == reply


LINE = "So 12 - 4 = 8 are left."
WRAPPED = {
    "JSON": f'{{"revised_step": "{LINE}"}}',
    "fenced JSON": f'```json\n{{"step": "{LINE}"}}\n```',
    "single quotes": f"{{'revised_step': '{LINE}'}}",
    "tildes": f"~~~text\n{LINE}\n~~~",
    "a tag": f"<revised_step>\n{LINE}\n</revised_step>",
    "quotes": f'"{LINE}"',
    "a quotation": f"> {LINE}",
    "a LaTeX label": rf"\textbf{{Revised step:}} {LINE}",
    "a LaTeX heading": f"\\subsection*{{Rewritten Step}}\n{LINE}",
    "a title and why": f"### Revised step\n\n{LINE}\n\n### Explanation\n\nIt said 9.",
    "a label of one word": f"Rewritten: {LINE}",
    "a sentence": f"The rewritten step is: {LINE}",
    "a label without a number": f"**Step:** {LINE}",
    "Chinese": f"修改后的步骤：\n\n{LINE}",
    "Chinese preamble": f"好的，以下是修改后的步骤：\n\n下一步：{LINE}",
    "the original before": f"**Original:** So 9 are left.\n**Revised:** {LINE}",
    "the critique before": f"The critique is right: 12 - 4 is not 9.\n\nRevised step: {LINE}",
    "why, in a line": f"**Rewritten step:**\n\n{LINE}\n\n**Explanation:** I counted again.",
    "options": f"Option 1: {LINE}\n\nOption 2: Eight are left.",
}


@pytest.mark.parametrize("form", WRAPPED)
def test_a_step_is_found_in_whatever_it_comes(form: str) -> None:
    assert read_step(WRAPPED[form], "So 12 - 4 = 9 are left.") == LINE


def test_steps_that_are_named_by_number_are_no_arithmetic() -> None:
    assert read_step("Here is the corrected version of steps 2 - 3:\n\n3*4 = 12") == "3*4 = 12"
    titled = "Corrected step: We factor.\nReasoning: both are even.\nSo 2 + 4 = 6."
    assert read_step(titled).endswith("So 2 + 4 = 6.")


def test_options_that_the_original_compares_are_no_second_try() -> None:
    step = "Option A: 3 tickets cost 15.\n\nOption B: a pass costs 12."
    assert read_step(step) == "3 tickets cost 15."
    assert read_step(step, "Option A: 3 tickets cost 16.\n\nOption B: a pass costs 12.") == step


def test_latex_in_json_is_read_as_it_is_meant() -> None:
    for backslash in ("\\", "\\\\"):
        said = r"By \frac{1}{2} \times 4 \neq 3, it is\nthe \boxed{2}."
        sent = said.replace("\\", backslash).replace(f"{backslash}nthe", "\\nthe")
        assert read_step(f'{{"step": "{sent}"}}') == said.replace("\\nthe", "\nthe")


@pytest.mark.parametrize(
    "step",
    [
        "If you want to change 5 dollars into dimes, you get 50 dimes.",
        "He pays 20.\n\nThe change makes 5 dollars.",
        "x - 3 = 5\n\nWe have added 3 to both sides.",
        "The original price was 50.\n\nUpdated: 45 dollars.",
        "It rises.\n\nThe corrected reading takes 5 minutes.",
        "{1, 2, 3}",
        '"A" is 3 and "B"',
        "> 5 apples",
        "Option 1: take 3 of 5.",
        "Option A:\n3 tickets cost 15.\n\nOption B:\nA pass costs 12.\n\nSo \\boxed{3} less.",
        "To solve the next step: we compute 3 + 4\n= 7.",
        "There are 3 cats.\nExplanation: each has 4 legs, so there are 12.\nDogs have 8.",
        "3+4 is 7.\n\nExplanation:\n\nSo \\boxed{7}",
        "We need 3.\n\nNote: there are 3 of them.",
        "Here is how many there are: 3+4=7\n\nSo 7.",
        "Certainly the sum is 12.\nSo 12.",
        "Okay, 3 of them are red.\n\nThat leaves 4.",
        "To find the root, we rewrite 48 as 16*3:\n\nso it is 4 times the root of 3.",
        "To correct the units, multiply 3 by 100.\n\nThat is 300.",
        "```python\nprint(7)\n```",
    ],
)
def test_what_speaks_of_the_problem_is_no_preamble(step: str) -> None:
    assert read_step(step) == step


def test_a_solution_keeps_the_markers_of_its_steps() -> None:
    solution = "Step 1: 3+4=7\n\nStep 2: \\boxed{7}"
    assert read_solution(f"Here is the rewritten solution:\n\n{solution}") == solution
    assert read_solution(f"**Revised solution:**\n{solution}") == solution


@given(st.text(alphabet="Step 12:\n*`# Nextrewitn[Q.0]=", max_size=60))
def test_nothing_is_left_out_of_a_reply_that_says_anything(text: str) -> None:
    assert bool(read_step(text).strip()) or not text.strip() or "[Q" in text or "`" in text


def test_hostile_replies_are_read_quickly() -> None:
    started = time.process_time()
    for text in (
        *("Sure\n" * 10**5, "#" * 10**6, "Step 1:" * 10**5, "```\n" * 10**5, "[Q " * 10**5),
        *("\n\nLet me know" * 10**4, "\n---" * 10**4, " " * 10**5 + "x", '"' * 10**6),
    ):
        read_step(text)
    assert time.process_time() - started < 5


def test_echoes_and_changes_of_form_are_told_from_revisions() -> None:
    assert became("3+4=8\n\n", "3+4=8") == became("3+4=8", " ") == "ignored critique"
    assert became("3+4=8", "**3 + 4 = 8**") == "formatting only"
    assert became("3+4=8", "3+4=7") == "revised"


BEFORE = (
    "We count the apples before the purchase:\n\n7 + 5 = 12, so there are 12 apples.\n\n"
    "Tom gives a third of them away, which is 12 / 3 = 4."
)


@pytest.mark.parametrize(
    "reply",
    [
        f"{BEFORE}\n\nNext step: {STEP}",
        f"To solve this we do as follows.\n\n{BEFORE}\n\nNext step:\n{STEP}",
        f"{BEFORE}\n\n{STEP}",
        f"{BEFORE}\n\n{STEP}\n\nRewrite the previous step.",
        f"{STEP}\n\nRewrite the ne",
        f"{BEFORE}\n\nStep to rewrite: {STEP}",
        f"Step under review: {STEP}\n\nRewrite that step, and nothing that comes after it.",
        f"{STEP}\n\nRewrite that step, and noth",
    ],
)
def test_a_repeated_solution_so_far_is_left_out(reply: str) -> None:
    assert read_step(reply, "12 - 4 = 7", BEFORE) == STEP


@pytest.mark.parametrize("end", [len(BEFORE), 80, 110])
def test_nothing_else_than_the_solution_so_far_is_no_step(end: int) -> None:
    assert read_step(BEFORE[:end], STEP, BEFORE) == ""


def test_a_step_that_quotes_what_was_before_is_whole() -> None:
    quoting = "Tom gives a third of them away, which is 12 / 3 = 4.\n\nSo 12 - 4 = 8 are left."
    assert read_step(quoting, STEP, BEFORE) == quoting
    assert read_step(BEFORE, STEP) == BEFORE


def test_markers_of_several_steps_stay() -> None:
    several = "Step 2: We count again.\n\nStep 3: 12 - 4 = 8."
    assert read_step(several, STEP) == several

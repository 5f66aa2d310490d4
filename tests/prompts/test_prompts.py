"""What models are told."""

import pytest

from whorl import prompts
from whorl.ask import Prompt
from whorl.prompts import Candidate


def test_the_gold_answer_is_shown_only_on_request() -> None:
    step, siblings = Candidate("1+1=2", 1.0), [Candidate("1+1=3", -1.0)]
    hidden = [
        prompts.critique_step("Q?", "", step, siblings),
        prompts.revise_step("Q?", "", "1+1=2", "Verdict: edit"),
        prompts.critique_path("Q?", [step], [siblings]),
        prompts.revise_path("Q?", ["1+1=2"], "Verdict: edit"),
    ]
    shown = [
        prompts.critique_step("Q?", "", step, siblings, gold="777"),
        prompts.revise_step("Q?", "", "1+1=2", "Verdict: edit", gold="777"),
        prompts.critique_path("Q?", [step], [siblings], gold="777"),
        prompts.revise_path("Q?", ["1+1=2"], "Verdict: edit", gold="777"),
    ]
    assert all("777" not in prompt.user + prompt.system for prompt in hidden)
    assert all("777" in prompt.user for prompt in shown)


def test_a_retry_names_the_answer_that_missed() -> None:
    assert "ended in 41" in prompts.revise_step("Q?", "", "s", "c", missed="41").user
    assert "ended in 41" in prompts.revise_path("Q?", ["s"], "c", missed="41").user


def test_siblings_are_shown_with_their_outcomes() -> None:
    user = prompts.critique_step("Q?", "a", Candidate("b", 0.5), [Candidate("c", -1)]).user
    assert "b [Q 0.5]" in user and "- c [Q -1.0]" in user
    untold = prompts.critique_step("Q?", "a", Candidate("b", 0.5), [Candidate("c")]).user
    assert untold.count("[Q") == 1 and "- c\n" in untold
    assert "Alternatives: none" in prompts.critique_step("Q?", "a", Candidate("b", 0), []).user


@pytest.mark.parametrize("name", prompts.TEMPLATES)
def test_every_way_to_ask_holds_the_question_and_gives_it_back(name: str) -> None:
    question = "Solve\n\nx + 1 = 2 for $x$."
    prompt = prompts.TEMPLATES[name].ask(question)
    assert question in prompt.user + prompt.prefix
    assert question in prompts.questions(prompt)


def test_the_question_is_found_in_what_recipes_teach_with() -> None:
    question = "Problem: what is 1 + 1?"
    for prompt in (
        prompts.solve(question),
        prompts.reflect(question, "It is 3."),
        prompts.critique_step(question, "So far.", Candidate("1+1=3", 0.0), []),
        prompts.critique_path(question, [Candidate("1+1=3", 0.0)], [[]]),
        Prompt("", question),
    ):
        assert question in prompts.questions(prompt)

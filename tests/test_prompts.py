"""What models are told, and how their critiques are read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl import prompts
from whorl.ask import Prompt
from whorl.prompts import Candidate, Critique

WORDS = st.text(alphabet="abc 0123456789+-=*/()", min_size=1, max_size=20).map(str.strip)
PHRASES = WORDS.filter(lambda text: text.strip(" .*").lower() not in ("", "none", "n/a")).map(
    lambda text: text.strip(" *")
)
CRITIQUES = st.builds(
    Critique,
    expected=PHRASES | st.just(""),
    errors=st.lists(PHRASES, max_size=3).map(tuple),
    missing=st.lists(PHRASES, max_size=3).map(tuple),
    avoid=st.lists(PHRASES, max_size=3).map(tuple),
    suggestion=PHRASES | st.just(""),
    verdict=st.sampled_from(["keep", "edit", "replace", None]),
)


@given(CRITIQUES)
def test_a_written_critique_is_read_back(critique: Critique) -> None:
    assert prompts.read_critique(prompts.write_critique(critique)) == critique


@given(st.lists(CRITIQUES, min_size=1, max_size=4))
def test_critiques_of_a_path_are_read_back(critiques: list[Critique]) -> None:
    text = prompts.write_critiques(critiques)
    assert prompts.read_critiques(text, len(critiques)) == critiques


@given(st.text())
def test_any_reply_can_be_read(text: str) -> None:
    prompts.read_critique(text)
    assert len(prompts.read_critiques(text, 3)) == 3


def test_markdown_round_the_fields_is_read_over() -> None:
    critique = prompts.read_critique("**Errors:** 2+2=5\n- **Verdict**: **Replace.**")
    assert critique.errors == ("2+2=5",)
    assert critique.verdict == "replace"


def test_praise_alone_is_empty_and_so_is_a_change_without_a_reason() -> None:
    assert prompts.read_critique("What a beautiful step!").empty
    assert prompts.read_critique("Errors: none\nVerdict: edit").empty
    assert not prompts.read_critique("Verdict: keep").empty
    assert not prompts.read_critique("Suggestion: add 3\nVerdict: edit").empty


def test_a_step_left_out_by_the_critic_has_an_empty_critique() -> None:
    text = "Step 2:\nErrors: 1+1=3\nVerdict: edit"
    first, second, third = prompts.read_critiques(text, 3)
    assert first == third == Critique()
    assert second.errors == ("1+1=3",)


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

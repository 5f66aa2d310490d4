"""How critiques are written and read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.prompts.critique import (
    FORM,
    Critique,
    read_critique,
    read_critiques,
    repeats_request,
    write_critique,
    write_critiques,
)

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
    assert read_critique(write_critique(critique)) == critique


@given(st.lists(CRITIQUES, min_size=1, max_size=4))
def test_critiques_of_a_path_are_read_back(critiques: list[Critique]) -> None:
    text = write_critiques(critiques)
    assert read_critiques(text, len(critiques)) == critiques


@given(st.text())
def test_any_reply_can_be_read(text: str) -> None:
    read_critique(text)
    assert len(read_critiques(text, 3)) == 3


def test_markdown_round_the_fields_is_read_over() -> None:
    critique = read_critique("**Errors:** 2+2=5\n- **Verdict**: **Replace.**")
    assert critique.errors == ("2+2=5",)
    assert critique.verdict == "replace"


def test_only_a_reply_that_says_nothing_is_empty() -> None:
    assert read_critique(" \n").empty
    assert read_critique("Errors: none\nSuggestion: n/a\nVerdict: none").empty
    form = "\n".join(f"{name}: {what}" for name, what in FORM.items())
    assert read_critique(form).empty  # copied instead of filled in
    for text in ("What a beautiful step!", "Errors: none\nVerdict: edit", "Verdict: whatever"):
        assert not read_critique(text).empty


@pytest.mark.parametrize(
    "entry",
    [
        "None needed.",
        "There are no errors in the solution so far. [Q 0.0]",
        "no alternatives have been tried, separated by semicolons",
        "what the solution should establish, worked out by yourself before you judge it",
        "one concrete change",
    ],
)
def test_an_entry_says_nothing_by_denial_or_by_copying_the_form(entry: str) -> None:
    assert read_critique(f"Errors: {entry}\nVerdict: keep") == Critique(verdict="keep")


@pytest.mark.parametrize(
    "entry", ["no errors, but 3 is missing", "no step = 4", "nothing adds up to 7", "two changes"]
)
def test_an_entry_that_says_more_is_kept(entry: str) -> None:
    assert read_critique(f"Errors: {entry}").errors == (entry,)


def test_a_reply_that_repeats_what_was_shown_is_told_from_prose() -> None:
    assert repeats_request("3 + 4 = 7.\n\nAlternatives:\n- 3 + 4 = 8\n\nReview the next step.")
    assert repeats_request("**Next step:** 3 + 4 = 7.")
    assert repeats_request("Step under review: 3 + 4 = 7. [Q -1.0]\n\nAlternatives: none")
    assert repeats_request("It is well done.\n\nReview that step.")
    assert not repeats_request("The next step: it is wrong. I review the next step here.")


def test_a_step_left_out_by_the_critic_has_an_empty_critique() -> None:
    text = "Step 2:\nErrors: 1+1=3\nVerdict: edit"
    first, second, third = read_critiques(text, 3)
    assert first == third == Critique()
    assert second.errors == ("1+1=3",)


SAID = Critique(errors=("2+2=5",), suggestion="add again", verdict="edit")
FORMS = {
    "lines": "Errors: 2+2=5\nSuggestion: add again\nVerdict: edit",
    "bold labels": "**Errors:** 2+2=5\n**Suggestion:** add again\n**Verdict:** edit",
    "bold words": "**Errors**: 2+2=5\n**Suggestion**: add again\n**Verdict**: **Edit.**",
    "bullets": "Errors:\n- 2+2=5\n\nSuggestion:\n* add again\n\nVerdict:\n- edit",
    "numbered": "1. **Errors**: 2+2=5\n2. Suggestions: add again\n3. Final verdict: edit",
    "numbers": "1. Errors: 2+2=5\n2. Missing: none\n3. Suggestion: add again\n4. Verdict: edit",
    "numbers in brackets": "(1) Errors: 2+2=5\n(2) Suggestion: add again\n(3) Verdict: edit",
    "brackets": "1) Errors: 2+2=5\n2) Missing: none\n3) Suggestion: add again\n4) Verdict: edit",
    "letters": "a. Errors: 2+2=5\nb. Missing: none\nc. Suggestion: add again\nd. Verdict: edit",
    "letters in brackets": "a) Errors: 2+2=5\n(b) Suggestion: add again\nC) Verdict: edit",
    "Roman": "i. Errors: 2+2=5\nii. Missing: none\niii. Suggestion: add again\nIV. Verdict: edit",
    "bullets with numbers": "- 1. Errors: 2+2=5\n- 2. Suggestion: add again\n* 3) Verdict: edit",
    "numbered items": "Errors:\n1) 2+2=5\nSuggestion:\n(a) add again\nVerdict: edit",
    "numbers in a line": "1. Errors: 2+2=5. 2. Missing: none; 3) Suggestion: add again. "
    "(d) Verdict: edit",
    "headings": "### Errors\n1. 2+2=5\n\n### Suggestion\nadd again\n\n### Verdict\n**Edit**",
    "quoted": 'Errors: 2+2=5\nSuggestion: add again\nVerdict: "edit"',
    "back-ticked": "Error: 2+2=5\nSuggestion: add again\nVerdict: `edit`",
    "next line": "Errors: none\n- 2+2=5\nSuggestion:\nadd again\nVerdict:\n\nedit",
    "sentence": "Errors: 2+2=5\nSuggestion: add again\nVerdict: The step should be edited.",
    "one line": "Errors: 2+2=5; Missing: none; Suggestion: add again; Verdict: edit.",
    "full stops": "Errors: 2+2=5. Missing: none. Suggestion: add again. Verdict: edit.",
    "a reason": "Errors: 2+2=5\nSuggestion: add again\nVerdict: edit (replace 5, keep the rest)",
    "a table": "| Errors | 2+2=5 |\n|---|---|\n| **Suggestion** | add again |\n| Verdict | edit |",
    "a wide table": "| Errors | Suggestion | Verdict |\n|:-:|--|--|\n| 2+2=5 | add again | edit |",
    "tags": "<errors>2+2=5</errors>\n<suggestion>add again</suggestion><verdict>edit</verdict>",
    "LaTeX labels": "\\textbf{Errors:} 2+2=5\n\\textbf{Suggestion}: add again\n"
    "\\textbf{Verdict:} \\boxed{edit}",
    "LaTeX headings": "\\section*{Errors}\n2+2=5\n\\section*{Suggestion}\nadd again\n"
    "\\subsection*{Verdict}\nedit",
    "Chinese": "错误：2+2=5\n**缺失**：无\n建议：add again\n结论：修改",
    "thought again": "Errors: none\nVerdict: keep\n\nWait, that is wrong.\n\n"
    "Errors: 2+2=5\nSuggestion: add again\nVerdict: edit",
    "on alternatives too": "Errors: 2+2=5\nSuggestion: add again\nVerdict: edit\n\n"
    "**Alternative 1**\nErrors: none\nVerdict: keep",
    "JSON behind words": 'Here it is: {"critique": [{"errors": ["2+2=5",], '
    '"suggestion": "add again", "verdict": "edit"}]}\nHope this helps!',
    "single quotes": "{'errors': ['2+2=5'], 'suggestion': 'add again', 'verdict': 'edit',}",
    "equals signs": "Errors = 2+2=5\nSuggestion = add again\nVerdict = edit",
    "fenced JSON": '```json\n{"errors": ["2+2=5"], "suggestion": "add again", '
    '"verdict": "edit"}\n```',
}


@pytest.mark.parametrize("form", FORMS)
def test_a_critique_is_read_in_whatever_form_it_comes(form: str) -> None:
    assert read_critique(FORMS[form]) == SAID


@pytest.mark.parametrize("said", ["keep or edit", "do not keep", "it depends"])
def test_a_verdict_that_names_none_or_several_is_none(said: str) -> None:
    critique = read_critique(f"Verdict: {said}")
    assert critique.verdict is None and not critique.empty


@pytest.mark.parametrize(
    "text",
    [
        "### Step 1\nErrors: a\n\n### Step 2\nVerdict: keep",
        "**Step 1:**\n- Errors: a\n\n**Step 2:**\n- Verdict: keep",
        "Here is my review.\n\n1. Step 1:\nErrors: a\n2. Step 2: Verdict: keep",
        "| Step | Errors | Verdict |\n|---|---|---|\n| 1 | a | none |\n| Step 2 | none | keep |",
        "\\subsection*{Step 1}\nErrors: a\n\\subsection*{Step 2}\nVerdict: keep",
        "### Step #1\nErrors: a\n### Step #2\nVerdict: keep",
        "第1步：\n错误：a\n\n步骤 2：\n结论：保留",
        '[{"step": 1, "errors": ["a"]}, {"step": 2, "verdict": "keep"}]',
        '{"steps": [{"errors": "a"}, {"verdict": "keep"}]}',
        '{"Step 1": {"errors": ["a"]}, "Step 2": {"verdict": "keep"}}',
    ],
)
def test_a_path_is_cut_at_its_steps(text: str) -> None:
    first, second = read_critiques(text, 2)
    assert first == Critique(errors=("a",)) and second == Critique(verdict="keep")


def test_what_is_said_of_the_whole_path_first_is_read_with_the_first_step() -> None:
    first, second = read_critiques(
        "Sure! Here is my review:\n\nAll of it adds wrongly.\n\nStep 1:\nErrors: a\n\nStep 2: fine",
        2,
    )
    assert first == Critique(errors=("a",), prose="All of it adds wrongly.")
    assert second == Critique(prose="fine")
    assert read_critiques("It adds wrongly.\n\nStep 2:\nVerdict: keep", 2)[0].prose


def test_the_numbered_fields_of_one_step_are_no_steps() -> None:
    form = "1. Expected: a\n2. Errors: b\n3. Verdict: edit"
    own = Critique(expected="a", errors=("b",), verdict="edit")
    assert read_critiques(form, 3) == [own, Critique(), Critique()]
    assert read_critiques(f"Step 1:\n{form}\n\nStep 2:\n{form}", 2) == [own, own]
    points = "1. Errors: a\n2. Errors: b; Verdict: keep"
    assert read_critiques(points, 2) == [
        Critique(errors=("a",)),
        Critique(errors=("b",), verdict="keep"),
    ]


def test_what_python_alone_has_is_no_object() -> None:
    for said in (
        "{'errors': {'a', 'b'}}",
        "{'errors': b'a', 2: 'x'}",
        "{'a': 1, 2: {'errors': 'b'}}",
    ):
        read_critique(said)
        read_critiques(said, 3)
    assert read_critiques("{'step 1': {'errors': 'a'}, 2: {'errors': 'b'}}", 2)[1].errors == ("b",)


def test_latex_in_json_is_no_control_character() -> None:
    read = read_critique('{"errors": ["\\frac{1}{2} \\times 2 \\neq 3"], "verdict": "edit"}')
    assert read == Critique(errors=(r"\frac{1}{2} \times 2 \neq 3",), verdict="edit")


def test_prose_on_a_path_is_the_first_steps() -> None:
    assert read_critiques("All of it is wrong.", 2) == [
        Critique(prose="All of it is wrong."),
        Critique(),
    ]

"""Words as a value: what may be changed, and that all roles are asked in them."""

from collections.abc import Iterator
from dataclasses import replace
from hashlib import blake2b

import pytest

from whorl import prompts
from whorl.ask import Ask, Prompt, Replies
from whorl.drive import drive
from whorl.engines import toy
from whorl.engines.function import Function
from whorl.example import Pair, Weighted
from whorl.problem import Problem
from whorl.prompts import Candidate
from whorl.prompts.wording import SETS, WHORL, Request, Shot, Wording
from whorl.recipe import Recipe, words_of
from whorl.recipes import RECIPES
from whorl.tree import Tree

OWN = Wording(
    solve=Request("Be brief.", "Question: {question}\nAnswer:"),
    examples=(Shot("Add 1 and 1.", "\\boxed{2}"),),
)


def house() -> Iterator[Prompt]:
    """A prompt of each kind in the words of the house."""
    step, others = Candidate("b", 0.5), [Candidate("c", -1)]
    yield prompts.solve("Q?")
    yield prompts.critique_step("Q?", "a\n\n", step, others, gold="7")
    yield prompts.revise_step("Q?", "", "b", "c", gold="7", missed="8")
    yield prompts.critique_path("Q?", [step, step], [others, []], gold="7")
    yield prompts.revise_path("Q?", ["a", "b"], "c", gold="7", missed="8")
    yield prompts.reflect("Q?", "a")


def test_the_words_of_the_house_are_those_that_journals_and_shipped_models_know() -> None:
    # A change here makes every journal ask again, and asks the shipped models what they never saw.
    said = repr([(prompt.system, prompt.user) for prompt in house()])
    assert blake2b(said.encode(), digest_size=8).hexdigest() == "3f94c5d95d410c12"


def test_names_in_braces_are_replaced_once_and_other_braces_stay() -> None:
    request = Request("\\boxed{answer}", "{question} {step} \\frac{a}{b}")
    assert request.about(question="{step}") == (
        "\\boxed{answer}", "{step} {step} \\frac{a}{b}"
    )  # fmt: skip


@pytest.mark.parametrize("name", ["solve", "critique", "revise", "critique_path", "reflect"])
def test_words_that_leave_out_what_they_are_about_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name}.user should name \{{question\}}"):
        replace(WHORL, **{name: Request("", "Go on.")})


def test_solved_problems_stand_before_the_question() -> None:
    prompt = prompts.solve("Add 3 and 4.", OWN)
    assert prompt.user == (
        "Question: Add 1 and 1.\nAnswer:\n\n\\boxed{2}\n\nQuestion: Add 3 and 4.\nAnswer:"
    )
    assert "Add 3 and 4." in prompts.questions(prompt)


def test_a_critic_who_is_told_no_outcome_reads_nothing_of_outcomes() -> None:
    for words in SETS.values():
        told = prompts.critique_step("Q?", "", Candidate("b", 1.0), [], words=words)
        untold = prompts.critique_step("Q?", "", Candidate("b"), [Candidate("c")], words=words)
        assert "outcome Q" in told.system and "outcome" not in untold.system
        assert "[Q" not in untold.user


def test_a_tree_keeps_the_words_in_which_its_question_was_asked() -> None:
    tree = prompts.planted(Tree(Problem("p", "Add 3 and 4.", "7")), OWN)
    back = Tree.from_json(tree.to_json())
    assert back == tree
    assert prompts.plain(back) == prompts.solve("Add 3 and 4.", OWN)
    usual = prompts.planted(Tree(tree.problem), SETS["prose"])
    assert usual.asked is None and "asked" not in usual.to_json()


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_asks_and_teaches_in_the_words_it_is_given(name: str) -> None:
    words = replace(OWN, examples=())  # the toy world reads the first line
    recipe: Recipe = RECIPES[name](words=words)
    assert words_of(recipe) == words
    seen: list[Ask] = []

    def answer(ask: Ask) -> Replies:
        seen.append(ask)
        return toy.answer(ask)

    engines = dict.fromkeys(recipe.roles, Function(answer))
    grown = drive([(p.id, recipe.grow(p)) for p in toy.problems(12)], engines)
    trees = [done.result for done in grown if done.result]
    assert len(trees) == 12
    asked = {prompts.solve(tree.problem.question, words).user for tree in trees}
    solves = [ask.prompt for ask in seen if ask.role == recipe.roles[0]]
    plain = {prompt.user for prompt in solves if prompt.system != WHORL.reflect.system}
    assert plain == asked
    taught = [example for tree in trees for example in recipe.harvest(tree).examples]
    assert taught
    for example in taught:
        assert isinstance(example, Weighted | Pair)
        assert example.prompt.system in ("Be brief.", WHORL.reflect.system)

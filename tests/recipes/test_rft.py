"""RFT over the toy world and by hand."""

import pytest

from whorl.ask import Ask, Replies, Reply
from whorl.drive import drive
from whorl.engines import toy
from whorl.engines.function import Function
from whorl.problem import Problem
from whorl.recipes.rft import Rft
from whorl.rollout import Sampling
from whorl.steps import BlankLine
from whorl.tree import HELPERS, ROOT, Node, Tree

SAMPLING = Sampling(steps=BlankLine(min_chars=0))
PROBLEM = Problem("p", "Add 3 and 4.", "7")


def grown(recipe: Rft, texts: list[str]) -> Tree:
    def answer(ask: Ask) -> Replies:
        assert (ask.role, ask.n, ask.stop) == ("policy", recipe.samples, ())
        return tuple(map(Reply, texts))

    (done,) = drive([("p", recipe.grow(PROBLEM))], {"policy": Function(answer)})
    assert done.result is not None
    return done.result


def test_distinct_right_solutions_are_kept_in_order() -> None:
    recipe = Rft(SAMPLING, samples=5, keep=2)
    texts = ["so \\boxed{7}", "\\boxed{8}", "so \\boxed{7}", "3+4=7\n\n\\boxed{7}", "7: \\boxed{7}"]
    tree = grown(recipe, texts)
    crop = recipe.harvest(tree)
    assert [example.text for example in crop.examples] == [texts[0], texts[3]]
    assert crop.dropped == {"more than `keep` right ones": 1}
    assert recipe.tally(tree) == {"right": 4, "wrong": 1, "no answer": 0}
    assert (tree.nodes[ROOT].visits, tree.nodes[ROOT].total) == (5, 4.0)


@pytest.mark.parametrize("helper", sorted(HELPERS))
def test_what_others_had_a_hand_in_is_not_the_policys(helper: str) -> None:
    tree = Tree(PROBLEM)
    step = tree.add(Node(ROOT, "3+4=7\n\n", author=helper))
    tree.add(Node(step, "\\boxed{7}", terminal=True, reward=1.0))
    own = tree.add(Node(ROOT, "7: \\boxed{7}", author="rollout", terminal=True, reward=1.0))
    assert [example.text for example in Rft().harvest(tree).examples] == [tree.text(own)]


def test_no_right_solution_is_counted() -> None:
    recipe = Rft(SAMPLING, samples=2)
    tree = grown(recipe, ["\\boxed{8}", "I do not know"])
    assert recipe.harvest(tree).examples == ()
    assert recipe.harvest(tree).dropped == {"no right solution": 1}
    assert recipe.tally(tree) == {"right": 0, "wrong": 1, "no answer": 1}
    assert tree.tip == ROOT


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"keep": 0}])
def test_settings_without_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Rft(**wrong)  # type: ignore[arg-type]


def test_the_toy_world_teaches_right_solutions_only() -> None:
    recipe = Rft(SAMPLING, samples=6)
    searches = ((p.id, recipe.grow(p)) for p in toy.problems(20))
    for done in drive(searches, {"policy": Function(toy.answer)}):
        assert done.result is not None
        for example in recipe.harvest(done.result).examples:
            assert example.text.endswith(f"\\boxed{{{done.result.problem.answer}}}.")

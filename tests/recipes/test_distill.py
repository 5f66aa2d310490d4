"""Distillation by text: what the teacher wrote, verified or not."""

from pathlib import Path

import pytest

from whorl.ask import Ask, Replies, Reply
from whorl.drive import drive
from whorl.engines import toy
from whorl.engines.function import Function
from whorl.problem import Problem
from whorl.recipe import heeds_verdicts
from whorl.recipes import Distill, Rft
from whorl.rollout import Sampling
from whorl.steps import BlankLine
from whorl.tree import ROOT, Node, Tree

SAMPLING = Sampling(steps=BlankLine(min_chars=0))
PROBLEM = Problem("p", "Add 3 and 4.", "7")


def by_hand(recipe: Distill, *replies: Reply) -> Tree:
    def answer(ask: Ask) -> Replies:
        assert (ask.role, ask.n, ask.stop) == ("teacher", recipe.samples, ())
        return replies

    (done,) = drive([("p", recipe.grow(PROBLEM))], {"teacher": Function(answer)})
    assert done.result is not None, done.error
    return done.result


REPLIES = (
    Reply("3+4=7\n\n\\boxed{7}", tokens=4),
    Reply("\\boxed{8}", tokens=2),
    Reply("\\boxed{8}", tokens=2),
    Reply("I do not know", tokens=3),
    Reply("3+4", "length", tokens=5),
)


def test_right_solutions_or_all_of_them_are_learned() -> None:
    recipe = Distill(SAMPLING, samples=5)
    tree = by_hand(recipe, *REPLIES)
    assert {node.author for node in tree.nodes[1:]} == {"teacher"}
    assert recipe.tally(tree) == {"right": 1, "wrong": 2, "no answer": 2}
    (one,) = recipe.harvest(tree).examples
    assert one.text == "3+4=7\n\n\\boxed{7}" and one.ended
    every = Distill(SAMPLING, samples=5, verified=False).harvest(tree).examples
    assert [(one.text, one.ended) for one in every] == [
        ("3+4=7\n\n\\boxed{7}", True),
        ("\\boxed{8}", True),
        ("I do not know", True),
        ("3+4", False),
    ]
    assert Distill(keep=2, verified=False).harvest(tree).dropped == {"more than `keep`": 2}
    assert Rft().harvest(tree).examples == (), "the policy wrote none of it"


def test_no_end_is_taught_where_the_answer_is_open() -> None:
    """It may have been cut off behind it."""
    tree = Tree(PROBLEM)
    text = "So \\boxed{f(z)}. And then we al"
    tree.add(Node(ROOT, text, author="teacher", pruned=True, mark="undecided"))
    (example,) = Distill(verified=False).harvest(tree).examples
    assert not example.ended


def test_what_another_wrote_is_not_the_teachers() -> None:
    tree = Tree(PROBLEM)
    tree.add(Node(ROOT, "\\boxed{7}", terminal=True, reward=1.0))
    assert Distill().harvest(tree).dropped == {"no right solution": 1}
    assert Distill(verified=False).harvest(tree).dropped == {"no solution": 1}


def test_without_verification_no_verdict_is_heeded() -> None:
    assert [heeds_verdicts(Distill(verified=v)) for v in (True, False)] == [True, False]


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"keep": 0}])
def test_settings_without_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Distill(**wrong)  # type: ignore[arg-type]


GOLDEN = Path(__file__).parent / "golden_distill.jsonl"


def test_trees_are_those_of_a_known_good_run() -> None:
    # Written by `python tests/recipes/test_distill.py`; a change here must be meant.
    assert _golden() == GOLDEN.read_text().splitlines()


def _golden() -> list[str]:
    searches = ((p.id, Distill(samples=4).grow(p)) for p in toy.problems(2))
    done = drive(searches, {"teacher": Function(toy.answer)})
    return [f.result.to_json() for f in sorted(done, key=lambda f: f.key) if f.result]


if __name__ == "__main__":
    GOLDEN.write_text("\n".join(_golden()) + "\n")

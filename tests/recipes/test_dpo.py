"""DPO on whole solutions, by hand and over the toy world."""

from dataclasses import replace
from pathlib import Path

import pytest

from whorl.ask import Ask, Replies, Reply
from whorl.drive import drive
from whorl.engines import toy
from whorl.engines.function import Function
from whorl.errors import UserError
from whorl.example import Pair, Preference
from whorl.problem import Problem
from whorl.recipes.distill import Distill
from whorl.recipes.dpo import Dpo
from whorl.recipes.rft import Rft
from whorl.tree import Tree

PROBLEM = Problem("p", "Add 3 and 4.", "7")


def grown(recipe: Dpo | Rft | Distill, *, problems: int) -> list[Tree]:
    searches = ((p.id, recipe.grow(p)) for p in toy.problems(problems))
    done = drive(searches, dict.fromkeys(("policy", "teacher"), Function(toy.answer)))
    return [f.result for f in sorted(done, key=lambda f: f.key) if f.result is not None]


def by_hand(*replies: Reply) -> Tree:
    def answer(ask: Ask) -> Replies:
        assert (ask.role, ask.n, ask.stop, ask.max_tokens) == ("policy", len(replies), (), 2048)
        return replies

    recipe = Dpo(samples=len(replies))
    (done,) = drive([("p", recipe.grow(PROBLEM))], {"policy": Function(answer)})
    assert done.result is not None, done.error
    return done.result


def test_a_right_solution_is_paired_with_a_wrong_one() -> None:
    tree = by_hand(Reply("\\boxed{8}"), Reply("\\boxed{7}"))
    (pair,) = Dpo().harvest(tree).examples
    assert pair == Pair(pair.prompt, "\\boxed{7}", "\\boxed{8}", origin="p#/2>1")
    assert pair.prompt.prefix == "" and PROBLEM.question in pair.prompt.user
    assert Dpo().tally(tree) == {"usable": 1}
    assert tree.tip == 2


def test_what_was_cut_off_is_rejected_without_an_end() -> None:
    (pair,) = (
        Dpo().harvest(by_hand(Reply("\\boxed{7}, so", "length"), Reply("\\boxed{7}"))).examples
    )
    assert isinstance(pair, Pair)
    assert (pair.chosen, pair.chosen_ended) == ("\\boxed{7}", True)
    assert (pair.rejected, pair.rejected_ended) == ("\\boxed{7}, so", False)


def test_several_pairs_use_each_solution_once() -> None:
    texts = [f"{i}: \\boxed{{{answer}}}" for i in range(3) for answer in (7, 8)]
    tree = by_hand(*map(Reply, [*texts, "4: \\boxed{7}"]))
    for pairs, expected in ((1, 1), (2, 2), (9, 3)):
        found = Dpo(pairs=pairs).harvest(tree).examples
        assert len(found) == expected
        assert len({e.chosen for e in found if isinstance(e, Pair)}) == expected
        assert len({e.rejected for e in found if isinstance(e, Pair)}) == expected


def test_the_draw_depends_on_the_problem_alone() -> None:
    texts = [f"{i}: \\boxed{{{answer}}}" for i in range(8) for answer in (7, 8)]
    tree = by_hand(*map(Reply, texts))
    again = Tree.from_json(tree.to_json())
    assert Dpo().harvest(tree) == Dpo().harvest(again)
    origins = set()
    for number in range(20):
        tree.problem = replace(PROBLEM, id=f"p{number}")
        origins.update(e.origin.partition("/")[2] for e in Dpo().harvest(tree).examples)
    assert len(origins) > 10


def test_without_right_and_wrong_solutions_there_is_no_pair() -> None:
    tree = by_hand(Reply("\\boxed{8}"), Reply("?"))
    assert Dpo().harvest(tree).dropped == {"all wrong": 1}
    assert Dpo().tally(tree) == {"all wrong": 1}


def test_it_harvests_what_rft_grew_but_not_what_a_teacher_wrote() -> None:
    found = 0
    for tree in grown(Rft(samples=8), problems=10):
        for pair in Dpo(pairs=2).harvest(tree).examples:
            assert isinstance(pair, Pair)
            answer = f"\\boxed{{{tree.problem.answer}}}."
            assert pair.chosen.endswith(answer) and not pair.rejected.endswith(answer)
            found += 1
    assert found > 10
    (tree,) = grown(Distill(samples=8), problems=1)
    with pytest.raises(UserError, match="the policy wrote"):
        Dpo().harvest(tree)


def test_the_objective_is_plain_dpo() -> None:
    assert Dpo(beta=0.2).objective == Preference(beta=0.2)


@pytest.mark.parametrize("wrong", [{"samples": 1}, {"pairs": 0}, {"beta": 0.0}])
def test_settings_without_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Dpo(**wrong)  # type: ignore[arg-type]


GOLDEN = Path(__file__).parent / "golden_dpo.jsonl"


def test_trees_are_those_of_a_known_good_run() -> None:
    # Written by `python tests/recipes/test_dpo.py`; a change here must be meant.
    assert _golden() == GOLDEN.read_text().splitlines()


def _golden() -> list[str]:
    return [tree.to_json() for tree in grown(Dpo(samples=4), problems=2)]


if __name__ == "__main__":
    GOLDEN.write_text("\n".join(_golden()) + "\n")

"""GRPO's baseline, by hand and over the toy world."""

from collections import Counter
from pathlib import Path

import pytest

from whorl.ask import Ask, Replies, Reply
from whorl.drive import drive
from whorl.engines import toy
from whorl.engines.function import Function
from whorl.errors import UserError
from whorl.example import Likelihood, Weighted
from whorl.problem import Problem
from whorl.recipes.grpo import Grpo
from whorl.recipes.rft import Rft
from whorl.recipes.sigma import Sigma
from whorl.search import Uct
from whorl.tree import Tree

PROBLEM = Problem("p", "Add 3 and 4.", "7")


def grown(recipe: Grpo | Rft | Sigma, *, problems: int) -> list[Tree]:
    engines = dict.fromkeys(("policy", "critic", "reviser"), Function(toy.answer))
    done = drive(((p.id, recipe.grow(p)) for p in toy.problems(problems)), engines)
    return [f.result for f in sorted(done, key=lambda f: f.key) if f.result is not None]


def test_a_group_is_sampled_in_one_ask_and_weighted_by_advantage() -> None:
    asked: list[Ask] = []

    def answer(ask: Ask) -> Replies:
        asked.append(ask)
        texts = ["a \\boxed{7}", "\\boxed{8}", "b \\boxed{7}", "\\boxed{8}", "?", "", "\\boxed{9}"]
        return (*map(Reply, texts), Reply("c \\boxed{7}", "length"))

    recipe = Grpo(samples=8)
    (done,) = drive([("p", recipe.grow(PROBLEM))], {"policy": Function(answer)})
    tree = done.result
    assert tree is not None
    (ask,) = asked
    assert (ask.n, ask.temperature, ask.top_p, ask.max_tokens) == (8, 0.8, 0.95, 2048)
    assert (ask.stop, ask.prompt.prefix) == ((), "")
    examples = recipe.harvest(tree).examples
    # docs/papers.md, "Worked by hand": two right of 8; what was given twice weighs twice
    weights: Counter[str] = Counter()
    for e in examples:
        assert isinstance(e, Weighted)
        weights[e.text] += e.weight  # type: ignore[assignment]
    assert len(examples) == 8
    assert dict(weights) == pytest.approx(
        {
            "a \\boxed{7}": 1.7321,
            "\\boxed{8}": -2 * 0.5774,
            "b \\boxed{7}": 1.7321,
            "?": -0.5774,
            "": -0.5774,
            "\\boxed{9}": -0.5774,
            "c \\boxed{7}": -0.5774,
        },
        abs=2e-4,
    )
    assert [e.text for e in examples if isinstance(e, Weighted) and not e.ended] == ["c \\boxed{7}"]
    assert recipe.tally(tree) == {"usable": 1}
    assert tree.nodes[tree.tip].text == "a \\boxed{7}"
    assert recipe.objective == Likelihood(kl=0.04, penalty="k3", average="completion")


def test_groups_that_are_all_right_or_all_wrong_teach_nothing() -> None:
    recipe = Grpo(samples=2)
    for answer, found in (("\\boxed{7}", "all right"), ("\\boxed{8}", "all wrong")):
        replies = (Reply(answer), Reply(answer))
        engine = Function(lambda ask, replies=replies: replies)
        (done,) = drive([("p", recipe.grow(PROBLEM))], {"policy": engine})
        assert done.result is not None
        crop = recipe.harvest(done.result)
        assert (crop.examples, crop.dropped) == ((), {found: 1})
        assert recipe.tally(done.result) == {found: 1}


def test_it_harvests_what_rft_grew_and_refuses_a_search() -> None:
    for tree in grown(Rft(samples=8), problems=10):
        examples = Grpo().harvest(tree).examples
        assert sum(e.weight for e in examples if isinstance(e, Weighted)) == pytest.approx(0)
        wholes = {tree.text(leaf) for leaf in tree.leaves()}
        assert {e.text for e in examples if isinstance(e, Weighted)} in (wholes, set())
    (tree,) = grown(Sigma(uct=Uct(simulations=2), temperatures=(0.7,)), problems=1)
    with pytest.raises(UserError, match="whole solutions"):
        Grpo().harvest(tree)


def test_the_toy_world_has_usable_groups() -> None:
    trees = grown(Grpo(), problems=20)
    usable = [tree for tree in trees if Grpo().tally(tree) == {"usable": 1}]
    assert len(usable) > 10
    for tree in usable:
        answer = f"\\boxed{{{tree.problem.answer}}}."
        for example in Grpo().harvest(Tree.from_json(tree.to_json())).examples:
            assert isinstance(example, Weighted) and example.ended
            assert (example.weight > 0) == example.text.endswith(answer)


@pytest.mark.parametrize("wrong", [{"samples": 1}, {"kl": -0.1}])
def test_settings_without_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Grpo(**wrong)  # type: ignore[arg-type]


GOLDEN = Path(__file__).parent / "golden_grpo.jsonl"


def test_trees_are_those_of_a_known_good_run() -> None:
    # Written by `python tests/recipes/test_grpo.py`; a change here must be meant.
    assert _golden() == GOLDEN.read_text().splitlines()


def _golden() -> list[str]:
    return [tree.to_json() for tree in grown(Grpo(samples=4), problems=2)]


if __name__ == "__main__":
    GOLDEN.write_text("\n".join(_golden()) + "\n")

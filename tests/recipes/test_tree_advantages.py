"""Recipes that sample trees in place of groups: what they grow, and what they make of any tree."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from math import sqrt
from pathlib import Path

import pytest

from whorl.ask import Ask, Replies
from whorl.drive import drive
from whorl.engines import toy
from whorl.engines.function import Function
from whorl.errors import UserError
from whorl.example import Weighted
from whorl.loop.harvest import distinct_examples
from whorl.problem import Problem
from whorl.recipe import Recipe
from whorl.recipes import Process, Rft, Sigma, TreeGrpo, TreePo, TreeRl, TreeRpo
from whorl.recipes.tree_po import _loops
from whorl.recipes.tree_rpo import step_rewards
from whorl.rollout import Sampling
from whorl.search import Uct
from whorl.steps import BlankLine
from whorl.tree import ROOT, Node, Tree

SHORT = Sampling(temperature=1.0, steps=BlankLine(min_chars=0))
RECIPES: Sequence[Recipe] = (
    TreeRpo(SHORT, children=3),
    TreeGrpo(SHORT, chains=3),
    TreeRl(SHORT, chains=4, traces=8),
    TreePo(SHORT, paths=8),
)


def answer(ask: Ask) -> Replies:
    """The toy world; what is unlikely is long."""
    return tuple(replace(r, logprob=-len(r.text) / 10) for r in toy.answer(ask))


def grown(recipe: Recipe, count: int = 6) -> list[Tree]:
    searches = ((p.id, recipe.grow(p)) for p in toy.problems(count))
    engines = dict.fromkeys(("policy", "critic", "reviser"), Function(answer))
    done = sorted(drive(searches, engines), key=lambda f: f.key)
    assert [f.error for f in done] == [None] * count
    return [f.result for f in done if f.result is not None]


def weights(recipe: Recipe, tree: Tree) -> list[float]:
    return [one.weight for one in recipe.harvest(tree).examples if isinstance(one, Weighted)]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: type(r).__name__)
def test_every_recipe_reads_what_any_other_grew(recipe: Recipe) -> None:
    uct = Uct(simulations=6)
    others = (Rft(SHORT), Sigma(uct, SHORT, temperatures=(0.7,)), *RECIPES)
    process = Process(uct=replace(uct, wrong=0.0), sampling=SHORT)
    for other in (*others, process):
        found = [weight for tree in grown(other) for weight in weights(recipe, tree)]
        assert any(w > 0 for w in found) and any(w < 0 for w in found), type(other).__name__


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: type(r).__name__)
def test_where_all_ends_are_alike_nothing_is_learned(recipe: Recipe) -> None:
    tree = Tree(Problem("p", "?", "7"))
    assert recipe.harvest(tree).examples == ()
    for _ in range(3):
        tree.add(Node(ROOT, "\\boxed{7}", terminal=True, reward=1.0))
    assert weights(recipe, tree) == []
    assert recipe.tally(tree)


def test_tree_rpo_compares_siblings_by_the_mean_of_what_follows() -> None:
    tree = Tree(Problem("p", "?", "7"))
    first = tree.add(Node(ROOT, "a\n\n"))
    tree.add(Node(ROOT, "b", terminal=True, reward=0.0, copies=2))
    tree.add(Node(first, "c", terminal=True, reward=1.0))
    tree.add(Node(first, "d", terminal=True, reward=1.0))
    tree.add(Node(first, "e", pruned=True, mark="no answer"))
    assert step_rewards(tree) == {1: Fraction(2, 3), 2: 0.0, 3: 1.0, 4: 1.0, 5: 0.0}
    mean = 2 / 9
    by = {"coin": sqrt(mean * (1 - mean)), "std": sqrt(8) / 9, "none": 1.0}
    for scale, each in by.items():
        found = weights(TreeRpo(scale=scale), tree)  # type: ignore[arg-type]
        first_two = [(2 / 3 - mean) / each, -mean / each, -mean / each]
        assert found[:3] == pytest.approx(first_two), scale
        assert sum(found[3:]) == pytest.approx(0)
    (one, *_) = TreeRpo().harvest(tree).examples
    assert isinstance(one, Weighted) and one.text == "a\n\n" and not one.ended


def test_tree_rpo_makes_no_advantage_of_rounding() -> None:
    """3 of 25 right below each of two steps: 0.2 and 0.4 of 5 in one, 0.6 of 5 in the other."""
    tree = Tree(Problem("p", "?", "7"))
    for shares in ((1, 2, 0, 0, 0), (3, 0, 0, 0, 0)):
        first = tree.add(Node(ROOT, f"{len(tree.nodes)}\n\n"))
        for right in shares:
            second = tree.add(Node(first, f"{len(tree.nodes)}\n\n"))
            for end in range(5):
                tree.add(Node(second, f"{end}", terminal=True, reward=float(end < right)))
    for scale in ("coin", "std", "none"):
        crop = TreeRpo(children=5, scale=scale).harvest(tree)  # type: ignore[arg-type]
        assert crop.examples and all(one.prompt.prefix for one in crop.examples), scale
        assert crop.dropped["group of equal rewards"] == 1 + 7


def test_tree_rl_makes_no_advantage_of_rounding() -> None:
    """The middle step is worth 0.3, halfway between 0.2 at the root and 0.4 before it."""
    tree = Tree(Problem("p", "?", "7"))
    first = tree.add(Node(ROOT, "a"))
    middle = tree.add(Node(first, "b"))
    for at, right, ends in ((middle, 3, 10), (first, 5, 10), (ROOT, 0, 20)):
        for end in range(ends):
            tree.add(Node(at, f"{at} {end}", terminal=True, reward=float(end < right)))
    found = [one.text for one in TreeRl(traces=40).harvest(tree).examples]  # type: ignore[union-attr]
    assert "a" in found and "b" not in found


def test_tree_rpo_teaches_how_solutions_end() -> None:
    recipe = TreeRpo(SHORT, children=3, depth=2)
    trees = grown(recipe)
    assert {len(tree.path(end)) for tree in trees for end in tree.leaves()} <= {1, 2}
    assert any("\n\n" in node.text.strip() for tree in trees for node in tree.nodes)
    found = [one for tree in trees for one in recipe.harvest(tree).examples]
    assert any(one.ended and one.prompt.prefix for one in found if isinstance(one, Weighted))


def test_tree_rl_forks_before_the_least_likely_steps_and_weighs_by_ends() -> None:
    tree = Tree(Problem("p", "?", "7"))
    at = ROOT
    for text, logprob in (("a", -0.1), ("b", -5.0), ("c", -0.2), ("d", -3.0)):
        at = tree.add(Node(at, text, tokens=1, logprob=logprob))
    tree.add(Node(at, "\\boxed{7}", tokens=1, logprob=-9.0, terminal=True, reward=1.0))
    assert TreeRl(forks=2)._forks(tree) == [1, 3], "before b and before d; no fork at the end"
    tree.add(Node(1, "\\boxed{8}", tokens=1, logprob=-1.0, terminal=True, reward=0.0))
    found = {e.text: e.weight for e in TreeRl().harvest(tree).examples if isinstance(e, Weighted)}
    assert found["b"] == pytest.approx(2 * 1 - 0.5 - 0.5), "one end below: value 1"
    assert found["\\boxed{8}"] == pytest.approx(0 - 0.5 - 0.5)
    assert "a" not in found, "all ends go through it, so it is worth nothing"
    traces = TreeRl(traces=1).harvest(tree)
    kept = {e.text: e.weight for e in traces.examples if isinstance(e, Weighted)}
    assert kept == {text: found[text] for text in found if text != "\\boxed{8}"}, (
        "one trace, the right one; its steps are worth what all ends make of them"
    )
    tree.nodes[2].logprob = None
    with pytest.raises(UserError, match="tells no log-probabilities"):
        TreeRl()._forks(tree)


def test_tree_rl_samples_as_many_ends_as_the_paper() -> None:
    for tree in grown(TreeRl(replace(SHORT, top_p=0.95), chains=6)):
        first = [tree.nodes[i].copies for i in tree.nodes[ROOT].children]
        assert sum(first) == 6, "forks start behind first steps"
        ends = sum(node.copies for node in tree.nodes if node.terminal or node.pruned)
        assert 6 < ends <= 6 * (1 + 2 * 2)


def test_tree_grpo_rolls_on_from_inside_each_tree() -> None:
    for tree in grown(TreeGrpo(SHORT, chains=3, forks=2)):
        firsts = tree.nodes[ROOT].children
        assert sum(tree.nodes[i].copies for i in firsts) == 3
        ends = sum(node.copies for node in tree.nodes if node.terminal)
        assert ends == 3 + 2 * len(firsts)


def test_tree_po_shares_its_budget_of_paths() -> None:
    recipe = TreePo(SHORT, paths=8)
    assert recipe._ways(1, 0, 0) == [2] and recipe._ways(3, 0, 0) == [2, 2, 2]
    assert recipe._ways(3, 2, 2) == [2, 2, 2] and recipe._ways(2, 0, 7) == [1, 1]
    assert recipe._ways(2, 2, 3) == [2, 3], "what has ended leaves its share"
    for tree in grown(recipe):
        ends = sum(node.copies for node in tree.nodes if node.terminal or node.pruned)
        assert 8 <= ends <= 2 * 8, "no fewer than there may be, and hardly more"


def test_tree_po_counts_equal_solutions_each_in_one_example() -> None:
    tree = Tree(Problem("p", "?", "7"))
    tree.add(Node(ROOT, "\\boxed{7}", terminal=True, reward=1.0, copies=3))
    tree.add(Node(ROOT, "\\boxed{8}", terminal=True, reward=0.0))
    right, wrong = weights(TreePo(), tree)
    assert right == pytest.approx(3 * (0.25 + 0) / 2), "the end is a group of its own samples"
    assert wrong == pytest.approx(-0.75)
    found = TreePo().harvest(tree).examples
    assert list(distinct_examples(found, TreePo().objective)) == list(found)


def test_a_path_that_repeats_itself_is_stopped() -> None:
    tree = Tree(Problem("p", "?", "7"))
    line = "and then we add one more apple to it. "
    at = tree.add(Node(ROOT, line * 5))
    reply = toy._reply("")
    assert _loops(tree, at)(Node(at, line * 9), reply) == "repeated"
    assert _loops(tree, at)(Node(at, "and then we stop, since there are 12 of them."), reply) == ""


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TreeRpo(children=1), "at least 2"),
        (lambda: TreeRl(chains=0), "chains must be"),
        (lambda: TreeGrpo(forks=-1), "not negative"),
        (lambda: TreePo(branch=0), "branch must be"),
        (lambda: TreePo(kl=-1.0), "kl must"),
    ],
)
def test_settings_without_sense_are_refused(make, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        make()


GOLDEN = Path(__file__).parent / "golden_tree_advantages.jsonl"


def test_trees_are_those_of_a_known_good_run() -> None:
    # Written by `python tests/recipes/test_tree_advantages.py`; a change here must be meant.
    assert _golden() == GOLDEN.read_text().splitlines()


def _golden() -> list[str]:
    return [tree.to_json() for recipe in RECIPES for tree in grown(recipe, 1)]


if __name__ == "__main__":
    GOLDEN.write_text("\n".join(_golden()) + "\n")

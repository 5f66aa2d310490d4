"""What is measured in trees: how varied solutions are, and how much of a search teaches."""

from collections.abc import Iterable
from itertools import groupby
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.ask import Role
from whorl.drive import drive
from whorl.engines import toy
from whorl.engines.function import Function
from whorl.loop.variety import Solutions, Variety, entropy, usable_share
from whorl.problem import Problem
from whorl.recipe import Recipe
from whorl.recipes.dpo import Dpo
from whorl.recipes.grpo import Grpo
from whorl.recipes.marge import Marge
from whorl.recipes.process import Process
from whorl.recipes.rft import Rft
from whorl.recipes.sigma import Sigma
from whorl.recipes.step_dpo import StepDpo
from whorl.rollout import Sampling
from whorl.search import Uct
from whorl.steps import BlankLine
from whorl.tree import ROOT, Node, Tree

SAMPLING = Sampling(temperature=1.0, steps=BlankLine(min_chars=0))
SMALL = Uct(children=3, simulations=6)
ROLES: tuple[Role, ...] = ("policy", "critic", "reviser")


def grown(recipe: Recipe, count: int = 12) -> list[Tree]:
    engine = Function(toy.answer)
    searches = ((p.id, recipe.grow(p)) for p in toy.problems(count))
    found = {f.key: f.result for f in drive(searches, dict.fromkeys(ROLES, engine))}
    return [tree for key in sorted(found) if (tree := found[key])]


def variety(trees: Iterable[Tree]) -> Variety:
    found = Solutions()
    for _, own in groupby(trees, key=lambda tree: tree.problem.id):
        found.add(own)
    return found.variety


def solution(tree: Tree, answer: str, *, author: str = "policy", copies: int = 1) -> None:
    right = answer == tree.problem.answer
    node = Node(ROOT, f"It is \\boxed{{{answer}}}.", author=author, terminal=True, copies=copies)
    node.reward = float(right)
    tree.add(node)


def test_variety_by_hand() -> None:
    first, second, unsolved = (Tree(Problem(name, "?", "5")) for name in "abc")
    solution(first, "5", copies=2)
    solution(first, "6")
    solution(first, "7")
    solution(first, "5", author="reviser")
    solution(second, "5")
    other = Tree(second.problem)  # another arm's
    other.add(Node(ROOT, "So \\boxed{5.0}.", terminal=True, reward=1.0))
    assert variety([first, second, other, unsolved]) == Variety(
        solutions=(4 + 2 + 0) / 3,
        right=(1 + 2 + 0) / 3,
        entropy=pytest.approx((0.5 * log(2) + 2 * 0.25 * log(4) + 0) / 2),
    )
    assert variety([]) == Variety(0.0, 0.0, 0.0)


def test_a_guide_was_sampled_before_and_what_follows_its_steps_was_not() -> None:
    tree = Tree(Problem("a", "?", "5"))
    step = tree.add(Node(ROOT, "2+3=5\n\n", author="guide"))
    tree.add(Node(step, "\\boxed{5}", author="guide", terminal=True, reward=1.0))
    assert variety([tree]).solutions == 0
    tree.add(Node(step, "\\boxed{5}", terminal=True, reward=1.0))
    assert variety([tree]) == Variety(1.0, 1.0, 0.0)


@given(st.lists(st.integers(0, 50), max_size=8), st.integers(1, 5))
def test_entropy_is_that_of_a_distribution(counts: list[int], scale: int) -> None:
    found = entropy(counts)
    kinds = sum(count > 0 for count in counts)
    assert -1e-12 <= found <= log(max(1, kinds)) + 1e-12
    assert entropy([scale * count for count in counts]) == pytest.approx(found)
    assert entropy(sorted([*counts, 0])) == pytest.approx(found)
    assert entropy([scale] * 4) == pytest.approx(log(4))


def test_every_sample_of_rft_is_a_solution() -> None:
    trees = grown(Rft(SAMPLING, samples=6))
    found = variety(trees)
    assert found.solutions == pytest.approx(6.0)  # the toy's policy always gives an answer
    assert 0 < found.right < 6 and 0 < found.entropy < log(6)
    assert variety(Tree.from_json(tree.to_json()) for tree in trees) == found


def test_what_a_critic_changed_is_not_the_policys() -> None:
    trees = grown(Sigma(uct=SMALL, sampling=SAMPLING))
    assert any(node.author == "reviser" for tree in trees for node in tree.nodes)
    for tree in trees:
        policys = [n for n in tree.nodes if n.terminal and n.author == "policy"]
        assert variety([tree]).solutions <= sum(node.copies for node in policys)


@pytest.mark.parametrize(
    "recipe",
    [
        Process(SMALL, SAMPLING),
        StepDpo(SMALL, SAMPLING),
        Marge(SAMPLING, pool=4, samples=4),
        Grpo(SAMPLING, samples=4),
        Dpo(SAMPLING, samples=4),
    ],
    ids=lambda recipe: type(recipe).__name__,
)
def test_the_usable_share_is_read_from_every_tally_that_has_one(recipe: Recipe) -> None:
    shares = []
    for tree in grown(recipe):
        tally = recipe.tally(tree)
        share = usable_share(tally)
        assert share is not None and 0 <= share <= 1
        taught = any(getattr(e, "weight", 1.0) for e in recipe.harvest(tree).examples)
        assert (share > 0) == taught
        shares.append(share)
    assert 0 < sum(shares) < len(shares)


def test_recipes_without_states_have_no_usable_share() -> None:
    recipe = Rft(SAMPLING, samples=2)
    assert all(usable_share(recipe.tally(tree)) is None for tree in grown(recipe, 2))

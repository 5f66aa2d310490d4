"""Groups of completions: what is read from trees, and what each is worth."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from statistics import fmean, pstdev

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from whorl.ask import Reply
from whorl.credit import (
    Completion,
    completions,
    group_advantage,
    preference_pairs,
    reinforced,
    relative_correctness,
    root_completions,
    shuffled,
    usability,
)
from whorl.errors import UserError
from whorl.problem import Problem
from whorl.recipes.rft import Rft
from whorl.rollout import Sampling, complete
from whorl.steps import BlankLine
from whorl.tree import ROOT, Node, Tree

SAMPLING = Sampling(temperature=0.8, solution_tokens=100, steps=BlankLine(min_chars=0))
PROBLEM = Problem("p", "Add 3 and 4.", "7")
RIGHT, WRONG = "so \\boxed{7}", "so \\boxed{8}"


def grown(replies: Sequence[Reply]) -> Tree:
    tree = Tree(PROBLEM)
    moves = complete(tree, ROOT, len(replies), SAMPLING)
    next(moves)
    with pytest.raises(StopIteration):
        moves.send([tuple(replies)])
    return tree


@pytest.mark.parametrize(
    ("right", "up", "down"),
    [
        (1, 2.6458, -0.3780),
        (2, 1.7321, -0.5774),
        (3, 1.2910, -0.7746),
        (4, 1.0, -1.0),
        (5, 0.7746, -1.2910),
        (6, 0.5774, -1.7321),
        (7, 0.3780, -2.6458),
    ],
)
def test_group_advantages_of_eight(right: int, up: float, down: float) -> None:
    # docs/papers.md, "Worked by hand"
    advantages = group_advantage([1.0] * right + [0.0] * (8 - right))
    assert advantages is not None
    assert advantages == pytest.approx([up] * right + [down] * (8 - right), abs=5e-5)


def test_relative_correctness_matches_the_check_values() -> None:
    found = relative_correctness((3, 1, 0), (4, 4, 2))
    assert found == pytest.approx([0.35, -0.15, -0.40])


SIBLINGS = st.lists(
    st.integers(1, 30).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), max_size=6
)


@given(siblings=SIBLINGS)
def test_relative_correctness_ranks_siblings_as_their_means_do(
    siblings: list[tuple[int, int]],
) -> None:
    q, n = [q for q, _ in siblings], [n for _, n in siblings]
    found = relative_correctness(q, n)
    assert len(found) == len(siblings)
    by_mean = sorted(range(len(q)), key=lambda i: q[i] / n[i])
    assert sorted(found) == [found[i] for i in by_mean]
    assert sum(s * v for s, v in zip(found, n, strict=True)) == pytest.approx(0, abs=1e-9)


@given(
    q=st.integers(0, 9),
    extra=st.integers(0, 9),
    times=st.lists(st.integers(1, 7), min_size=1, max_size=6),
)
def test_equally_good_siblings_differ_by_exactly_zero(q: int, extra: int, times: list[int]) -> None:
    n = q + extra
    assume(n)
    assert relative_correctness([q * t for t in times], [n * t for t in times]) == [0.0] * len(
        times
    )


@pytest.mark.parametrize("rewards", [[], [1.0], [0.0] * 8, [1.0] * 8])
def test_rewards_that_do_not_differ_teach_nothing(rewards: list[float]) -> None:
    assert group_advantage(rewards) is None


@given(st.lists(st.integers(0, 9).map(float), min_size=2, max_size=20))
def test_advantages_are_the_rewards_standardised(rewards: list[float]) -> None:
    advantages = group_advantage(rewards)
    assert (advantages is None) == (len(set(rewards)) < 2)
    if advantages is not None:
        assert fmean(advantages) == pytest.approx(0, abs=1e-9)
        assert pstdev(advantages) == pytest.approx(1)
        shifted = group_advantage([2 * reward + 3 for reward in rewards])
        assert shifted == pytest.approx(advantages)


def test_what_is_cut_off_is_wrong_and_has_not_ended_even_with_an_answer() -> None:
    cut = Reply(RIGHT, "length", tokens=9)
    tree = grown([Reply(RIGHT), cut, Reply("I give up"), cut, Reply("")])
    group = completions(tree, ROOT)
    assert group == [
        Completion(1, RIGHT, 1.0, ended=True, copies=1),
        Completion(2, RIGHT, 0.0, ended=False, copies=2),
        Completion(3, "I give up", 0.0, ended=True, copies=1),
        Completion(4, "", 0.0, ended=True, copies=1),
    ]
    assert (tree.nodes[ROOT].visits, tree.nodes[ROOT].total) == (5, 1.0)
    examples = list(reinforced(tree, ROOT, group))
    samples = [(c.text, c.ended) for c in group for _ in range(c.copies)]
    assert [(e.text, e.ended) for e in examples] == samples
    assert [e.weight for e in examples] == pytest.approx([2, -0.5, -0.5, -0.5, -0.5])
    assert [e.origin for e in examples] == ["p#/1", "p#/2", "p#/2", "p#/3", "p#/4"]


def test_an_undecided_answer_is_neither_right_nor_wrong() -> None:
    tree = Tree(replace(PROBLEM, answer="x+1"))
    moves = complete(tree, ROOT, 2, SAMPLING)
    next(moves)
    (judge,) = moves.send([(Reply("\\boxed{1+x}"), Reply("\\boxed{x+1}"))])
    assert judge.role == "judge"
    with pytest.raises(StopIteration):
        moves.send([(Reply(value=None),)])
    assert [c.text for c in completions(tree, ROOT)] == ["\\boxed{x+1}"]


def test_a_cut_off_without_text_counts_but_teaches_nothing() -> None:
    tree = grown([Reply("", "length"), Reply(RIGHT)])
    group = completions(tree, ROOT)
    assert usability(group) == "usable"
    (only,) = reinforced(tree, ROOT, group)
    assert (only.text, only.weight) == (RIGHT, 1.0)
    assert list(preference_pairs(tree, ROOT, group, most=1, rng=Random(0))) == []


def test_solutions_of_other_recipes_that_share_steps_are_read_whole() -> None:
    moves = Rft(SAMPLING, samples=4).grow(PROBLEM)
    next(moves)
    texts = [f"3+4=7\n\n{RIGHT}", f"3+4=7\n\n{WRONG}", f"3+4=7\n\n{RIGHT}", "3+"]
    replies = [Reply(text, "length" if text == "3+" else "eos") for text in texts]
    with pytest.raises(StopIteration) as stop:
        moves.send([tuple(replies)])
    group = root_completions(stop.value.value)
    assert [(c.text, c.reward, c.ended, c.copies) for c in group] == [
        (texts[0], 1.0, True, 2),
        (texts[1], 0.0, True, 1),
        (texts[3], 0.0, False, 1),
    ]


def test_trees_without_whole_solutions_are_refused() -> None:
    tree = Tree(PROBLEM)
    assert root_completions(tree) == []  # nothing was sampled: nothing to complain about
    tree.add(Node(ROOT, RIGHT, terminal=True, reward=1.0))
    with pytest.raises(UserError, match="fewer than two"):
        root_completions(tree)
    tree.add(Node(ROOT, "3+4=7\n\n"))
    with pytest.raises(UserError, match="searched step by step"):
        root_completions(tree)


@pytest.mark.parametrize(
    ("right", "wrong", "window", "found"),
    [
        (1, 7, (0.0, 1.0), "usable"),
        (8, 0, (0.0, 1.0), "all right"),
        (0, 8, (0.0, 1.0), "all wrong"),
        (0, 0, (0.0, 1.0), "nothing decided"),
        (8, 0, (0.1, 1.1), "all right"),
        (2, 6, (0.3, 0.7), "outside the window"),
        (3, 5, (0.3, 0.7), "usable"),
        (5, 3, (0.3, 0.7), "usable"),
        (6, 2, (0.3, 0.7), "outside the window"),
        (1, 1, (0.5, 1.0), "outside the window"),
    ],
)
def test_usability(right: int, wrong: int, window: tuple[float, float], found: str) -> None:
    group = [Completion(1, "r", 1.0, True, right), Completion(2, "w", 0.0, True, wrong)]
    assert usability([one for one in group if one.copies], window) == found


def test_a_draw_favours_what_was_sampled_more_often() -> None:
    group = [Completion(1, "a", 1.0, True, 9), Completion(2, "b", 1.0, True, 1)]
    firsts = [shuffled(group, 1.0, Random(seed))[0].text for seed in range(200)]
    assert 160 < firsts.count("a") < 200
    assert shuffled(group, 0.0, Random(0)) == []


@given(
    st.lists(st.sampled_from([f"{i}: {t}" for i in range(4) for t in (RIGHT, WRONG)]), min_size=2),
    st.integers(1, 6),
    st.integers(0, 99),
)
def test_lessons_of_any_group(texts: list[str], most: int, seed: int) -> None:
    tree = grown([Reply(text) for text in texts])
    group = completions(tree, ROOT)
    assert sum(one.copies for one in group) == len(texts)
    examples = list(reinforced(tree, ROOT, group))
    assert sum(example.weight for example in examples) == pytest.approx(0, abs=1e-9)
    assert all((e.weight > 0) == e.text.endswith(RIGHT) for e in examples)
    pairs = list(preference_pairs(tree, ROOT, group, most=most, rng=Random(seed)))
    distinct = [sum(one.reward == reward for one in group) for reward in (1.0, 0.0)]
    assert len(pairs) == min(most, *distinct)
    assert bool(examples) == bool(pairs) == (usability(group) == "usable")
    assert all(p.chosen.endswith(RIGHT) and p.rejected.endswith(WRONG) for p in pairs)
    for side in ([p.chosen for p in pairs], [p.rejected for p in pairs]):
        assert len(set(side)) == len(side)

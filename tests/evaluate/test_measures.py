import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.errors import UserError
from whorl.evaluate import (
    Score,
    pass_at,
    repeated,
    sensible_ks,
    summarise,
    wilson,
)
from whorl.evaluate.measures import majority_rates


def score(right: Sequence[float | None], id: str = "a", level: str = "", **rest) -> Score:
    answers = rest.pop("answers", tuple("yes" if r else "no" for r in right))
    return Score(id, level, tuple(right), answers, **rest)


def scores(right: Sequence[float]) -> list[Score]:
    return [score([r], id=str(i)) for i, r in enumerate(right)]


@given(st.integers(1, 9), st.data())
def test_pass_at_k_is_the_share_of_draws_that_include_a_right_one(n: int, data) -> None:
    right = data.draw(st.integers(0, n))
    k = data.draw(st.integers(1, n))
    draws = list(combinations(range(n), k))
    lucky = sum(any(i < right for i in draw) for draw in draws)
    assert pass_at(n, right, k) == pytest.approx(lucky / len(draws), abs=1e-12)


@given(st.lists(st.lists(st.sampled_from([0.0, 1.0, None]), min_size=5, max_size=5), min_size=1))
def test_a_repeated_evaluation_has_the_standard_error_of_its_mean(right: list[list]) -> None:
    found = repeated([score(each, id=str(i)) for i, each in enumerate(right)])
    assert found is not None
    accuracies = [column.count(1.0) / len(right) for column in zip(*right, strict=True)]
    assert found.mean == pytest.approx(mean(accuracies))
    spread = sum((a - mean(accuracies)) ** 2 for a in accuracies) / 4
    assert (found.times, found.error) == (5, pytest.approx((spread / 5) ** 0.5))
    assert repeated(scores([1.0, 0.0])) is None
    failed = Score("failed", "", (), (), error="policy: out of memory")
    half = repeated([score([1.0, 0.0], id="a"), failed])
    assert half is not None and (half.times, half.mean) == (2, 0.25)


def test_pass_at_k_of_large_numbers() -> None:
    assert pass_at(10_000, 1, 100) == pytest.approx(0.01)
    with pytest.raises(ValueError):
        pass_at(4, 1, 5)


def test_the_summary_counts_apart_what_is_not_right() -> None:
    found = [
        score([1.0, 0.0, None, 0.0], "a", "1", answers=("4", None, "x", "5")),
        score([1.0, 1.0, 1.0, 1.0], "b", "1", cut=1),
        score([0.0, 0.0, 0.0, 0.0], "c", "2"),
        Score("d", "2", (), (), error="policy: out of memory"),
    ]
    summary = summarise(found, ks=(1, 2, 4))
    assert (summary.problems, summary.attempts, summary.failed) == (4, 12, 1)
    assert (summary.undecided, summary.unanswered, summary.cut) == (1, 1, 1)
    assert summary.passed[1].value == pytest.approx((0.25 + 1) / 4)
    assert summary.passed[2].value == pytest.approx((0.5 + 1) / 4)
    assert summary.passed[4] == wilson(2, 4)
    assert summary.levels["2"] == (2, wilson(0, 2))
    assert summary.levels["1"][1].value == pytest.approx(0.625)
    assert json.loads(json.dumps(asdict(summary)))["passed"]["4"]["value"] == 0.5


@pytest.mark.parametrize(
    ("answers", "right", "won"),
    [
        (("4", "5", "5"), (1.0, 0.0, 0.0), 0.0),
        (("4", "5", "4"), (1.0, 0.0, 1.0), 1.0),
        (("4", "5", None), (1.0, 0.0, 0.0), 1.0),  # a tie: the earliest
        ((None, None, "4"), (0.0, 0.0, 1.0), 1.0),  # no answer is no vote
        ((None, None, None), (0.0, 0.0, 0.0), 0.0),
        (("x", "x", "4"), (None, None, 1.0), 0.0),  # undecided is not right
        (("3", "1/2", "0.5"), (0.0, 1.0, 1.0), 1.0),  # equal answers are one vote
        (("3", "$0.50", r"50 \text{ cents}"), (0.0, 1.0, 1.0), 1.0),
        ((r"5 \text{ m}", r"5 \text{ km}", "7"), (0.0, 1.0, 0.0), 0.0),  # three votes
        (("4", "5 m", "5 km"), (1.0, 0.0, 0.0), 1.0),
        (("5", r"5 \text{ m}", r"5 \text{ km}"), (1.0, 0.0, 0.0), 1.0),
    ],
)
def test_the_majority_decides(
    answers: tuple[str | None, ...], right: tuple[float | None, ...], won: float
) -> None:
    summary = summarise([Score("a", "", right, answers)], ks=(3,))
    assert summary.majority[3].value == won


def test_too_few_attempts_are_refused() -> None:
    with pytest.raises(UserError, match="problem 'a' has 2 attempts, too few for @4"):
        summarise([score([1.0, 0.0])], ks=(4,))
    with pytest.raises(UserError, match="no scores"):
        summarise([])


@given(st.lists(st.sampled_from(["1", "2", None]), min_size=1, max_size=12), st.integers(1, 12))
def test_a_majority_of_k_is_the_mean_over_groups_of_k(answers: list[str | None], k: int) -> None:
    k = min(k, len(answers))
    right = tuple(float(answer == "1") for answer in answers)
    groups = [answers[i : i + k] for i in range(0, len(answers) - k + 1, k)]
    wins = []
    for group in groups:
        ones, twos = group.count("1"), group.count("2")
        first = next((each for each in group if each), None)
        wins.append(ones > twos or (ones == twos and first == "1"))
    found = majority_rates([Score("a", "", right, tuple(answers))], [k])
    assert found[k].value == pytest.approx(sum(wins) / len(wins))


@pytest.mark.parametrize(
    ("samples", "ks"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (64, [1, 2, 4, 8, 16, 32, 64])]
)
def test_the_ks_worth_telling(samples: int, ks: list[int]) -> None:
    assert sensible_ks(samples) == ks


def test_levels_and_subjects_are_told_apart() -> None:
    found = [
        score([1.0], "a", "10", subject="algebra"),
        score([0.0], "b", "2", subject="geometry"),
        score([1.0], "c", "hard", subject="algebra"),
    ]
    summary = summarise(found)
    assert list(summary.levels) == ["2", "10", "hard"]
    assert {name: (n, rate.value) for name, (n, rate) in summary.subjects.items()} == {
        "algebra": (2, 1.0),
        "geometry": (1, 0.0),
    }

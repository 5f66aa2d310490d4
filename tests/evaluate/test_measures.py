import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.errors import UserError
from whorl.evaluate import (
    Score,
    macro_rate,
    paired,
    paired_over,
    pass_at,
    pass_rate,
    pass_rate_over,
    sensible_ks,
    summarise,
    wilson,
)
from whorl.evaluate.measures import bootstrap, majority_rates


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


def test_pass_at_k_of_large_numbers() -> None:
    assert pass_at(10_000, 1, 100) == pytest.approx(0.01)
    with pytest.raises(ValueError):
        pass_at(4, 1, 5)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [  # to three places, as published for Wilson's interval
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, Statistics in Medicine 17:857, table I
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (294, 500, 0.544, 0.630),
    ],
)
def test_wilson(successes: int, trials: int, low: float, high: float) -> None:
    rate = wilson(successes, trials)
    assert (rate.low, rate.high) == pytest.approx((low, high), abs=6e-5 if trials < 500 else 6e-4)
    assert rate.value == successes / trials


def test_the_bootstrap_agrees_with_the_normal_interval_of_a_mean() -> None:
    values = [0.0, 0.25, 0.5, 1.0] * 100
    rate = bootstrap(values)
    deviation = (sum((v - 0.4375) ** 2 for v in values) / 400) ** 0.5
    assert rate.value == 0.4375
    assert rate.low == pytest.approx(0.4375 - 1.96 * deviation / 20, abs=0.004)
    assert rate.high == pytest.approx(0.4375 + 1.96 * deviation / 20, abs=0.004)
    assert bootstrap(values) == rate


def test_paired_against_known_values() -> None:
    """Agresti, Categorical Data Analysis, table 10.1: 1,600 ratings, twice."""
    before = scores([1.0] * 794 + [1.0] * 150 + [0.0] * 86 + [0.0] * 570)
    after = scores([1.0] * 794 + [0.0] * 150 + [1.0] * 86 + [0.0] * 570)
    result = paired(before, after)
    assert (result.problems, result.fixed, result.broken) == (1600, 86, 150)
    assert result.difference.value == pytest.approx(-0.04)
    assert result.difference.low == pytest.approx(-0.0587, abs=1e-4)  # Wald: -0.04 +- 0.0187
    assert result.difference.high == pytest.approx(-0.0213, abs=1e-4)
    assert result.p_value == pytest.approx(3.7e-5, rel=0.02)


@pytest.mark.parametrize(
    ("fixed", "broken", "p"), [(0, 0, 1.0), (5, 0, 0.0625), (1, 9, 0.021484375), (3, 3, 1.0)]
)
def test_mcnemar(fixed: int, broken: int, p: float) -> None:
    before = scores([0.0] * fixed + [1.0] * broken + [1.0])
    after = scores([1.0] * fixed + [0.0] * broken + [1.0])
    assert paired(before, after[::-1]).p_value == pytest.approx(p)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_swapping_before_and_after_mirrors_the_comparison(pairs: list[tuple[bool, bool]]) -> None:
    before = scores([float(b) for b, _ in pairs])
    after = scores([float(a) for _, a in pairs])
    there, back = paired(before, after), paired(after, before)
    assert (there.fixed, there.broken) == (back.broken, back.fixed)
    assert there.p_value == pytest.approx(back.p_value)
    assert -1 <= there.difference.low <= there.difference.value <= there.difference.high <= 1
    assert there.difference.low == pytest.approx(-back.difference.high)


def test_only_equal_problems_are_compared() -> None:
    with pytest.raises(UserError, match="not of the same problems: '1' is in one only"):
        paired(scores([1.0]), scores([1.0, 0.0]))
    with pytest.raises(UserError, match="problem '0' is scored twice"):
        paired(scores([1.0]) * 2, scores([1.0]))
    with pytest.raises(UserError, match="no problems to compare"):
        paired([], [])


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


def test_the_bootstrap_of_a_difference_counts_all_attempts() -> None:
    """First attempts alike; of the others, one in four is better. The bootstrap agrees with the
    normal interval of a mean of differences."""
    before = [score([1.0, 0.0], id=str(i)) for i in range(400)]
    after = [score([1.0, float(i % 4 == 0)], id=str(i)) for i in range(400)]
    result = paired(before, after)
    assert (result.fixed, result.broken, result.p_value) == (0, 0, 1.0)
    deviation = 0.5 * (0.25 * 0.75) ** 0.5
    assert result.mean.value == pytest.approx(0.125)
    assert result.mean.low == pytest.approx(0.125 - 1.96 * deviation / 20, abs=0.002)
    assert result.mean.high == pytest.approx(0.125 + 1.96 * deviation / 20, abs=0.002)


def test_a_mean_over_benchmarks_counts_each_the_same() -> None:
    small, large = [1.0, 0.0] * 50, [1.0] * 900 + [0.0] * 100
    rate = macro_rate([small, large])
    assert rate.value == pytest.approx(0.7)
    spread = (0.25 / 100 + 0.09 / 1000) ** 0.5 / 2
    assert rate.high - rate.low == pytest.approx(2 * 1.96 * spread, rel=0.08)


marks = st.lists(st.sampled_from([0.0, 1.0]), min_size=6, max_size=6)


@given(marks, marks, st.integers(1, 4))
def test_repeating_a_run_adds_no_certainty(before: list[float], after: list[float], n: int) -> None:
    one, other = scores(before), scores(after)
    single, repeated = paired_over([(one, other)]), paired_over([(one, other)] * n)
    assert repeated.difference == single.difference
    assert repeated.p_value == pytest.approx(single.p_value)
    assert (repeated.fixed, repeated.broken) == (n * single.fixed, n * single.broken)
    assert single.difference.value == pytest.approx(paired(one, other).difference.value)
    assert 0 <= single.p_value <= 1
    turned = paired_over([(other, one)])
    assert turned.difference.value == pytest.approx(-single.difference.value)
    assert turned.p_value == pytest.approx(single.p_value)


def test_pooling_is_over_problems_and_runs() -> None:
    first, second = scores([1, 1, 0, 0]), scores([1, 0, 0, 0])
    assert pass_rate_over([first, second], 1).value == pytest.approx(3 / 8)
    assert pass_rate_over([first], 1).value == pass_rate(first, 1).value
    # changes 1/2, 0, 1/2, 1 by problem: mean 1/2, deviation 0.408, t = 2.449 of 3 degrees
    before, after = scores([0, 0, 0, 0]), [scores([1, 0, 0, 1]), scores([0, 0, 1, 1])]
    found = paired_over([(before, own) for own in after])
    assert found.difference.value == 0.5
    assert found.p_value == pytest.approx(0.0917, abs=1e-3)
    with pytest.raises(UserError, match="same problems"):
        paired_over([(first, second), (first[:2], second[:2])])

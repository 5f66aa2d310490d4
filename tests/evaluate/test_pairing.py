"""Paired comparisons, against known values."""

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.errors import UserError
from whorl.evaluate import (
    Score,
    findable,
    paired,
    paired_over,
    pass_rate,
    pass_rate_over,
)


def score(right: Sequence[float | None], id: str = "a", level: str = "", **rest) -> Score:
    answers = rest.pop("answers", tuple("yes" if r else "no" for r in right))
    return Score(id, level, tuple(right), answers, **rest)


def scores(right: Sequence[float]) -> list[Score]:
    return [score([r], id=str(i)) for i, r in enumerate(right)]


marks = st.lists(st.sampled_from([0.0, 1.0]), min_size=6, max_size=6)


def test_paired_against_known_values() -> None:
    """Agresti, Categorical Data Analysis, table 10.1: 1,600 ratings, twice."""
    before = scores([1.0] * 794 + [1.0] * 150 + [0.0] * 86 + [0.0] * 570)
    after = scores([1.0] * 794 + [0.0] * 150 + [1.0] * 86 + [0.0] * 570)
    result = paired(before, after)
    assert (result.problems, result.fixed, result.broken) == (1600, 86, 150)
    assert (result.attempts, result.gain) == (1, result.difference)
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


def test_the_bootstrap_of_a_difference_counts_all_attempts() -> None:
    """First attempts alike; of the others, one in four is better. The bootstrap agrees with the
    normal interval of a mean of differences."""
    before = [score([1.0, 0.0], id=str(i)) for i in range(400)]
    after = [score([1.0, float(i % 4 == 0)], id=str(i)) for i in range(400)]
    result = paired(before, after)
    assert (result.fixed, result.broken, result.p_value) == (0, 0, 1.0)
    assert (result.attempts, result.gain) == (2, result.mean)
    assert result.gain.value == pytest.approx(
        pass_rate(after, 1).value - pass_rate(before, 1).value
    )
    deviation = 0.5 * (0.25 * 0.75) ** 0.5
    assert result.mean.value == pytest.approx(0.125)
    assert result.mean.low == pytest.approx(0.125 - 1.96 * deviation / 20, abs=0.002)
    assert result.mean.high == pytest.approx(0.125 + 1.96 * deviation / 20, abs=0.002)


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


def test_equal_changes_are_no_certainty() -> None:
    for n in (1, 2, 5):
        one = paired(scores([0] * n), scores([1] * n))
        over = paired_over([(scores([0] * n), scores([1] * n))])
        assert (over.difference, over.p_value) == (one.difference, one.p_value)
        assert over.p_value > 0 and over.difference.low < over.difference.high
    half = [(scores([0, 0, 0]), scores([1, 1, 1])), (scores([0, 0, 0]), scores([0, 0, 0]))]
    assert paired_over(half).difference.value == paired_over(half).difference.high == 0.5
    assert paired_over(half).difference.low < 0.5 and paired_over(half).p_value == 0.25


def test_a_findable_difference_is_found_four_times_in_five() -> None:
    problems, changed = 400, 0.25
    gain = findable(problems, changed)
    assert findable(4 * problems, changed) == pytest.approx(gain / 2)
    fixed, rng, found = (changed + gain) / 2, Random(0), 0
    for _ in range(300):
        drawn = [rng.random() for _ in range(problems)]
        before = [float(fixed <= x < changed) for x in drawn]
        after = [float(x < fixed) for x in drawn]
        found += paired(scores(before), scores(after)).p_value < 0.05
    assert 0.72 < found / 300 < 0.85  # the exact test is a little stricter than its approximation


def test_one_run_has_one_interval_and_one_p_value() -> None:
    """As `pass_rate` and `paired` have it, of whatever outcome; so have runs that agree on every
    problem, which are no more observations than one."""
    rng = Random(0)
    for right in ([1.0] * 20, [0.0] * 20, [float(rng.random() < 0.6) for _ in range(20)]):
        before = scores([float(rng.random() < 0.4) for _ in right])
        after = scores(right)
        one = paired(before, after)
        for times in (1, 3):
            assert pass_rate_over([after] * times, 1) == pass_rate(after, 1)
            over = paired_over([(before, after)] * times)
            assert (over.difference, over.p_value) == (one.difference, one.p_value)
    sure = pass_rate_over([scores([1.0] * 20)], 1)
    assert (sure.value, sure.high) == (1.0, 1.0) and sure.low == pytest.approx(0.839, abs=1e-3)


def test_runs_that_differ_are_bootstrapped_over_problems() -> None:
    found = pass_rate_over([scores([1.0] * 20), scores([1.0] * 19 + [0.0])], 1)
    assert found.value == pytest.approx(0.975) and 0.9 < found.low < 0.975 < found.high <= 1

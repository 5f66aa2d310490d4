"""Means with intervals, against published values."""

from collections.abc import Sequence

import pytest

from whorl.evaluate import (
    Score,
    macro_rate,
    wilson,
)
from whorl.evaluate.intervals import bootstrap


def score(right: Sequence[float | None], id: str = "a", level: str = "", **rest) -> Score:
    answers = rest.pop("answers", tuple("yes" if r else "no" for r in right))
    return Score(id, level, tuple(right), answers, **rest)


def scores(right: Sequence[float]) -> list[Score]:
    return [score([r], id=str(i)) for i, r in enumerate(right)]


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


def test_a_mean_over_benchmarks_counts_each_the_same() -> None:
    small, large = [1.0, 0.0] * 50, [1.0] * 900 + [0.0] * 100
    rate = macro_rate([small, large])
    assert rate.value == pytest.approx(0.7)
    spread = (0.25 / 100 + 0.09 / 1000) ** 0.5 / 2
    assert rate.high - rate.low == pytest.approx(2 * 1.96 * spread, rel=0.08)

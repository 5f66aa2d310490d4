"""Means over problems with their 95 % confidence intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist, fmean
from typing import TYPE_CHECKING

from whorl.errors import UserError

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of problems, or a difference of two, with its 95 % confidence interval."""

    value: float
    low: float
    high: float


def mean_rate(values: Sequence[float]) -> Rate:
    """The mean of `values`, one for each problem, with an interval.

    The interval is Wilson's where every problem passes or does not, as at one attempt each, else
    a bootstrap over problems; one problem alone tells nothing of others. Raises `UserError` if
    there are none.
    """
    if not values:
        raise UserError("there are no scores to summarise")
    if all(value in (0.0, 1.0) for value in values):
        return wilson(int(sum(values)), len(values))
    return bootstrap(values) if len(values) > 1 else Rate(values[0], 0.0, 1.0)


def wilson(successes: int, trials: int) -> Rate:
    """Wilson's score interval for a proportion (JASA 22:209, 1927): of k among n,
    (k + z^2/2 +- z sqrt(k (n - k) / n + z^2/4)) / (n + z^2), which is in [0, 1]."""
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    middle, size = successes + z * z / 2, trials + z * z
    half = z * sqrt(successes * (trials - successes) / trials + z * z / 4)
    low = (middle - half) / size if successes else 0.0
    high = (middle + half) / size if successes < trials else 1.0
    return Rate(successes / trials, low, high)


def bootstrap(values: Sequence[float], *, seed: int = 0) -> Rate:
    """The mean with a percentile bootstrap interval over `values`, one for each problem."""
    return _percentiles(fmean(values), _resampled(values, seed))


def macro_rate(sets: Sequence[Sequence[float]]) -> Rate:
    """The mean over sets of problems of their means, so that each set counts the same, with a
    percentile bootstrap over the problems of each set as interval."""
    from numpy import mean

    resampled = [_resampled(values, seed) for seed, values in enumerate(sets)]
    return _percentiles(fmean(map(fmean, sets)), mean(resampled, axis=0))


def _resampled(values: Sequence[float], seed: int) -> "NDArray[float64]":
    """Means of `RESAMPLES` samples with replacement. How often each value is drawn is multinomial,
    and there are few different values."""
    from numpy import array, unique
    from numpy.random import default_rng

    different, counts = unique(array(values, dtype=float), return_counts=True)
    drawn = default_rng(seed).multinomial(len(values), counts / len(values), RESAMPLES)
    means: NDArray[float64] = drawn @ different / len(values)
    return means


def _percentiles(value: float, means: "NDArray[float64]") -> Rate:
    from numpy import quantile

    low, high = quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Rate(value, float(low), float(high))

"""What scores say: pass@k, majority votes, their intervals, and paired comparison."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb, sqrt
from statistics import NormalDist, fmean, stdev
from typing import TYPE_CHECKING

from whorl.answer import equal
from whorl.errors import UserError
from whorl.evaluate.scores import Score

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


@dataclass(frozen=True, slots=True)
class Summary:
    """The numbers of one evaluation.

    passed: k -> pass@k; pass@1 is also the mean over attempts, avg@n.
    majority: k -> accuracy of the majority vote of k attempts.
    levels, subjects: name -> (problems, pass@1).
    undecided, unanswered: attempts, among all `attempts`, that the judge did not decide, or that
        have no final answer; failed: problems that could not be attempted. None counts as right.
    cut: attempts that ran into the token limit; they may have answered before.
    """

    problems: int
    attempts: int
    passed: Mapping[int, Rate]
    majority: Mapping[int, Rate]
    levels: Mapping[str, tuple[int, Rate]]
    subjects: Mapping[str, tuple[int, Rate]]
    undecided: int
    unanswered: int
    cut: int
    failed: int


@dataclass(frozen=True, slots=True)
class Paired:
    """The same problems before and after.

    fixed, broken: problems whose first attempt turned right, turned wrong.
    difference: after - before of the first attempts, with its 95 % confidence interval.
    p_value: two-sided exact McNemar test of no change in them.
    mean: after - before of the mean over all attempts, with a bootstrap interval over problems.
    """

    problems: int
    fixed: int
    broken: int
    difference: Rate
    p_value: float
    mean: Rate


def sensible(samples: int) -> list[int]:
    """The k worth telling for so many attempts: 1, 2, 4 and so on, and all of them."""
    powers = [1 << bit for bit in range(samples.bit_length())]
    return sorted({*powers, max(samples, 1)})


def summarise(scores: Sequence[Score], *, ks: Sequence[int] = (1,)) -> Summary:
    """Pass@k and majority@k for every k of `ks`, and pass@1 by level and by subject.

    Raises `UserError` if there is no score, or fewer than k attempts at a problem.
    """
    return Summary(
        problems=len(scores),
        attempts=sum(len(score.right) for score in scores),
        passed={k: pass_rate(scores, k) for k in ks},
        majority=majority_rates(scores, [k for k in ks if k > 1]),
        levels=_by([score.level for score in scores], scores),
        subjects=_by([score.subject for score in scores], scores),
        undecided=sum(score.right.count(None) for score in scores),
        unanswered=sum(score.answers.count(None) for score in scores),
        cut=sum(score.cut for score in scores),
        failed=sum(bool(score.error) for score in scores),
    )


def _by(names: Sequence[str], scores: Sequence[Score]) -> dict[str, tuple[int, Rate]]:
    """Pass@1 of each group of problems, numbers in their order before other names."""
    groups: dict[str, list[Score]] = {}
    for name, score in zip(names, scores, strict=True):
        groups.setdefault(name, []).append(score)
    order = sorted(groups, key=lambda name: (not name.isdecimal(), name.zfill(9), name))
    return {name: (len(groups[name]), pass_rate(groups[name], 1)) for name in order}


def pass_rate(scores: Sequence[Score], k: int) -> Rate:
    """Pass@k, the mean over problems of `pass_at`; the interval is that of `rate`."""
    return rate(passes(scores, k))


def passes(scores: Sequence[Score], k: int) -> list[float]:
    """`pass_at` k of each problem. Raises `UserError` if one has fewer attempts."""
    return [_passed(score, k) for score in scores]


def pass_at(n: int, right: int, k: int) -> float:
    """Chance that k of n attempts, drawn without replacement, include one of the `right` ones.

    The unbiased estimator 1 - C(n - right, k) / C(n, k) of Chen et al. 2021 (2107.03374, eq. 1).
    """
    if not 0 <= right <= n or not 1 <= k <= n:
        raise ValueError(f"pass@{k} of {right} right among {n}")
    return 1 - comb(n - right, k) / comb(n, k)


def majority_rates(scores: Sequence[Score], ks: Sequence[int]) -> dict[int, Rate]:
    """k -> accuracy of the commonest answer among k attempts (self-consistency, 2203.11171); of
    equally common ones the earliest.

    With n attempts it is the mean over the n // k groups of k in a row. Equal answers are one vote,
    as far as arithmetic can tell and without a look at the right one; no answer is no vote.
    """
    return {k: rate(votes) for k, votes in elections(scores, ks).items()}


def elections(scores: Sequence[Score], ks: Sequence[int]) -> dict[int, list[float]]:
    """k -> share of each problem's groups of k attempts whose commonest answer is right."""
    found: dict[int, list[float]] = {k: [] for k in ks}
    for score in scores:
        votes = _votes(score.answers) if ks else []
        for k, shares in found.items():
            if score.error:
                shares.append(0.0)
                continue
            _enough(score, k)
            starts = range(0, len(votes) - k + 1, k)
            shares.append(fmean(_elected(votes[i : i + k], score.right[i : i + k]) for i in starts))
    return found


def _votes(answers: Sequence[str | None]) -> list[str | None]:
    """The answers, equal ones in the words of the first of them."""
    spoken: dict[str, str] = {}
    for answer in answers:
        if answer is not None and answer not in spoken:
            same = (known for known in dict.fromkeys(spoken.values()) if equal(known, answer))
            spoken[answer] = next(same, answer)
    return [answer if answer is None else spoken[answer] for answer in answers]


def _elected(votes: Sequence[str | None], right: Sequence[float | None]) -> float:
    counts = Counter(vote for vote in votes if vote is not None)
    if not counts:
        return 0.0
    ((winner, _),) = counts.most_common(1)
    return float(right[votes.index(winner)] == 1.0)


def rate(values: Sequence[float]) -> Rate:
    """The mean of `values`, one for each problem.

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
    """Wilson's score interval for a proportion."""
    from scipy.stats import binomtest

    interval = binomtest(successes, trials).proportion_ci(CONFIDENCE, method="wilson")
    return Rate(successes / trials, float(interval.low), float(interval.high))


def bootstrap(values: Sequence[float], *, seed: int = 0) -> Rate:
    """The mean with a percentile bootstrap interval over `values`, one for each problem."""
    return _percentiles(fmean(values), _resampled(values, seed))


def macro_rate(sets: Sequence[Sequence[float]]) -> Rate:
    """The mean over sets of problems, each of which counts the same, of the mean of their values.
    The interval is a percentile bootstrap over the problems of each set."""
    from numpy import mean

    resampled = [_resampled(values, seed) for seed, values in enumerate(sets)]
    return _percentiles(fmean(map(fmean, sets)), mean(resampled, axis=0))


def _resampled(values: Sequence[float], seed: int) -> "NDArray[float64]":
    """Means of `RESAMPLES` samples with replacement: how often each value is drawn is multinomial,
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


def paired(before: Sequence[Score], after: Sequence[Score]) -> Paired:
    """Compare two evaluations of the same problems, in whatever order.

    The p-value is the exact McNemar test: the broken among the changed problems against a fair
    coin. The interval is Agresti and Min's (Statistics in Medicine 24:729, 2005, "Wald+2"): with
    half an observation added to each of the four cells, b fixed, c broken, n problems,
    d +- z sqrt((b + c) - (b - c)^2 / n) / n, where d = (b - c) / n, cut off at -1 and 1.
    Raises `UserError` unless both hold the same problems once each.
    """
    from scipy.stats import binomtest

    first, second = _firsts(before), _firsts(after)
    if first.keys() != second.keys() or not first:
        missing = sorted(first.keys() ^ second.keys())
        raise UserError(
            f"the evaluations are not of the same problems: {missing[0]!r} is in one only"
            if missing
            else "there are no problems to compare"
        )
    fixed = sum(second[id] and not first[id] for id in first)
    broken = sum(first[id] and not second[id] for id in first)
    changed, gap, n = fixed + broken, fixed - broken, len(first)
    middle = gap / (n + 2)
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    half = z * sqrt(changed + 1 - gap * middle) / (n + 2)
    return Paired(
        problems=n,
        fixed=fixed,
        broken=broken,
        difference=Rate(gap / n, max(-1.0, middle - half), min(1.0, middle + half)),
        p_value=float(binomtest(broken, changed, 0.5).pvalue) if changed else 1.0,
        mean=bootstrap(list(_changes(before, after).values())),
    )


def pass_rate_over(runs: Sequence[Sequence[Score]], k: int) -> Rate:
    """Pass@k over several evaluations of the same problems, e.g. of one student per seed: the mean,
    with a bootstrap over problems that draws all attempts at a problem together."""
    by_problem: dict[str, list[float]] = {}
    for scores in runs:
        for score in scores:
            by_problem.setdefault(score.id, []).append(_passed(score, k))
    return bootstrap([fmean(values) for values in by_problem.values()])


def paired_over(runs: Sequence[tuple[Sequence[Score], Sequence[Score]]]) -> Paired:
    """Several comparisons `(before, after)` of the same problems, e.g. one per seed, as one.

    fixed and broken are counted over all of them. The difference is the mean; its interval and the
    p-value are those of a paired t-test over problems, each with its mean change over the runs, so
    that attempts at one problem count as one observation. Whether other seeds would say the same is
    not in them. Raises `UserError` unless all hold the same problems once each.
    """
    from scipy.stats import t

    each = [paired(before, after) for before, after in runs]
    changes: dict[str, list[int]] = {}
    means: dict[str, list[float]] = {}
    for before, after in runs:
        first, second = _firsts(before), _firsts(after)
        for id, change in _changes(before, after).items():
            changes.setdefault(id, []).append(second[id] - first[id])
            means.setdefault(id, []).append(change)
    if any(len(own) < len(runs) for own in changes.values()):
        raise UserError("the evaluations are not of the same problems")
    values = [fmean(own) for own in changes.values()]
    n, gap = len(values), fmean(values)
    error = stdev(values) / sqrt(n) if n > 1 else 0.0
    half = float(t.ppf((1 + CONFIDENCE) / 2, n - 1)) * error if error else 0.0
    return Paired(
        problems=n,
        fixed=sum(one.fixed for one in each),
        broken=sum(one.broken for one in each),
        difference=Rate(gap, max(-1.0, gap - half), min(1.0, gap + half)),
        p_value=float(2 * t.sf(abs(gap) / error, n - 1)) if error else float(gap == 0),
        mean=bootstrap([fmean(own) for own in means.values()]),
    )


def _passed(score: Score, k: int) -> float:
    if score.error:
        return 0.0
    _enough(score, k)
    return pass_at(len(score.right), score.right.count(1.0), k)


def _enough(score: Score, k: int) -> None:
    if len(score.right) < k:
        raise UserError(f"problem {score.id!r} has {len(score.right)} attempts, too few for @{k}")


def _firsts(scores: Sequence[Score]) -> dict[str, bool]:
    """Problem id -> its first attempt is right."""
    firsts = {score.id: score.right[:1] == (1.0,) for score in scores}
    if len(firsts) < len(scores):
        twice = next(id for id, n in Counter(score.id for score in scores).items() if n > 1)
        raise UserError(f"problem {twice!r} is scored twice in one evaluation")
    return firsts


def _changes(before: Sequence[Score], after: Sequence[Score]) -> dict[str, float]:
    """Problem id -> by how much the share of right attempts changed."""
    shares = {score.id: _passed(score, 1) for score in before}
    return {score.id: _passed(score, 1) - shares[score.id] for score in after}

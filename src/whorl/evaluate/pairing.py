"""Two evaluations of the same problems compared problem by problem, with a test of no change."""

from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist, fmean, stdev

from whorl.errors import UserError
from whorl.evaluate.intervals import CONFIDENCE, Rate, bootstrap
from whorl.evaluate.measures import pass_at_each
from whorl.evaluate.scores import Score

CHANGED = 0.2
"""Share of answers that turn right or wrong from a model to its student: 0.17 to 0.20 of those of
half a billion parameters on GSM8K (docs/results.md, "A real model on GSM8K")."""

POWER = 0.8


@dataclass(frozen=True, slots=True)
class Paired:
    """A paired comparison: two evaluations of the same problems, before and after.

    fixed, broken: problems whose first attempt turned right, turned wrong.
    difference: after - before of the first attempts, with its 95 % confidence interval.
    p_value: two-sided exact McNemar test of no change in them.
    mean: after - before of the mean over all attempts, with a bootstrap interval over problems.
    attempts: at a problem, where it had most.
    """

    problems: int
    fixed: int
    broken: int
    difference: Rate
    p_value: float
    mean: Rate
    attempts: int = 1

    @property
    def gain(self) -> Rate:
        """Change in pass@1: `difference` where problems were attempted once, else `mean`."""
        return self.difference if self.attempts == 1 else self.mean


def paired(before: Sequence[Score], after: Sequence[Score]) -> Paired:
    """Compare two evaluations of the same problems, in whatever order.

    The p-value is the exact McNemar test: the broken among the changed problems against a fair
    coin. The interval is Agresti and Min's (Statistics in Medicine 24:729, 2005, "Wald+2"): with
    half an observation added to each of the four cells, b fixed, c broken, n problems,
    d +- z sqrt((b + c) - (b - c)^2 / n) / n, where d = (b - c) / n, cut off at -1 and 1.
    Raises `UserError` unless both hold the same problems once each.
    """
    first, second = _firsts(before), _firsts(after)
    check_same(first.keys(), second.keys())
    fixed = sum(second[id] and not first[id] for id in first)
    broken = sum(first[id] and not second[id] for id in first)
    return Paired(
        problems=len(first),
        fixed=fixed,
        broken=broken,
        difference=_difference(fixed, broken, len(first)),
        p_value=_fair(broken, fixed + broken),
        mean=bootstrap(list(_changes(before, after).values())),
        attempts=max(1, *(len(score.right) for score in (*before, *after))),
    )


def findable(problems: int, changed: float = CHANGED) -> float:
    """Smallest true difference in accuracy that a paired test of so many problems finds, at p <
    0.05, four times in five: (z_0.975 + z_0.8) sqrt(changed / problems), McNemar's test in its
    normal approximation (Connor, Biometrics 43:207, 1987, without its small second term).

    changed: share of the problems whose answer turns right or wrong.
    """
    normal = NormalDist()
    needed = normal.inv_cdf((1 + CONFIDENCE) / 2) + normal.inv_cdf(POWER)
    return needed * sqrt(changed / problems)


def check_same(before: Set[str], after: Set[str]) -> None:
    """Raises `UserError` unless evaluations of problems with these ids can be compared."""
    if missing := sorted(before ^ after):
        raise UserError(
            f"the evaluations are not of the same problems: {missing[0]!r} is in one only"
        )
    if not before:
        raise UserError("there are no problems to compare")


def paired_over(runs: Sequence[tuple[Sequence[Score], Sequence[Score]]]) -> Paired:
    """Compare several pairs `(before, after)` of evaluations of the same problems, e.g. one per
    seed, as one.

    fixed and broken are counted over all of them. The difference is the mean; its interval and the
    p-value are those of a paired t-test over problems, each with its mean change over the runs, so
    that attempts at one problem count as one observation. Where the runs agree on every problem,
    as one does with itself, they are those of `paired`, so that one run has one p-value; and so,
    by the signs of the changes, where all changes are equal and their spread is not known. Whether
    other seeds would say the same is not in them. Raises `UserError` unless all hold the same
    problems once each.
    """
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
    sizes = {abs(value) for value in values if value}
    if sizes <= {1.0} or len(set(values)) == 1:
        fixed, broken = sum(value > 0 for value in values), sum(value < 0 for value in values)
        signs = _difference(fixed, broken, n)
        size = max(sizes, default=1.0)
        difference = Rate(gap, size * signs.low, size * signs.high)
        p_value = _fair(broken, fixed + broken)
    else:
        from scipy.stats import t

        error = stdev(values) / sqrt(n)
        half = float(t.ppf((1 + CONFIDENCE) / 2, n - 1)) * error
        difference = Rate(gap, max(-1.0, gap - half), min(1.0, gap + half))
        p_value = float(2 * t.sf(abs(gap) / error, n - 1))
    return Paired(
        problems=n,
        fixed=sum(one.fixed for one in each),
        broken=sum(one.broken for one in each),
        difference=difference,
        p_value=p_value,
        mean=bootstrap([fmean(own) for own in means.values()]),
        attempts=max(one.attempts for one in each),
    )


def _difference(fixed: int, broken: int, n: int) -> Rate:
    """The difference in accuracy, with Agresti and Min's interval: see `paired`."""
    changed, gap = fixed + broken, fixed - broken
    middle = gap / (n + 2)
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    half = z * sqrt(changed + 1 - gap * middle) / (n + 2)
    return Rate(gap / n, max(-1.0, middle - half), min(1.0, middle + half))


def _fair(heads: int, tosses: int) -> float:
    """Two-sided p-value of a fair coin, exact: both tails, as it is symmetric."""
    ways = tail = 1  # to have k heads, and at most k
    for k in range(min(heads, tosses - heads)):
        ways = ways * (tosses - k) // (k + 1)
        tail += ways
    return min(1.0, float(2 * tail / (1 << tosses)))


def _firsts(scores: Sequence[Score]) -> dict[str, bool]:
    """Problem id -> its first attempt is right."""
    firsts = {score.id: score.right[:1] == (1.0,) for score in scores}
    if len(firsts) < len(scores):
        twice = next(id for id, n in Counter(score.id for score in scores).items() if n > 1)
        raise UserError(f"problem {twice!r} is scored twice in one evaluation")
    return firsts


def _changes(before: Sequence[Score], after: Sequence[Score]) -> dict[str, float]:
    """Problem id -> by how much the share of right attempts changed."""
    ids = [score.id for score in before]
    shares = dict(zip(ids, pass_at_each(before, 1), strict=True))
    return {
        s.id: share - shares[s.id] for s, share in zip(after, pass_at_each(after, 1), strict=True)
    }

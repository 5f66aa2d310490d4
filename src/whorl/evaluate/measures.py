"""Measures of scores: pass@k and majority votes, with their intervals."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb
from statistics import fmean, stdev

from whorl.answer import equal
from whorl.errors import UserError
from whorl.evaluate.intervals import Rate, mean_rate
from whorl.evaluate.scores import Score


@dataclass(frozen=True, slots=True)
class Repeats:
    """Accuracy of an evaluation that was repeated, as MCTS process supervision reports its own.

    times: how often. mean: of the accuracies. error: standard error of that mean, the accuracies'
        standard deviation over sqrt(times). It tells how much other samples would change, where the
        interval of pass@1 tells how much other problems would.
    """

    times: int
    mean: float
    error: float


@dataclass(frozen=True, slots=True)
class Summary:
    """Figures of one evaluation.

    passed: k -> pass@k; pass@1 is also the mean over attempts, avg@n.
    repeats: of the attempts, each as an evaluation of its own; None if there is one.
    majority: k -> accuracy of the majority vote of k attempts.
    levels, subjects: name -> (problems, pass@1).
    undecided, unanswered: attempts, among all `attempts`, that the judge did not decide, or that
        have no final answer; failed: problems that could not be attempted. None counts as right.
    cut: attempts that ran into the token limit; they may have answered before.
    """

    problems: int
    attempts: int
    passed: Mapping[int, Rate]
    repeats: Repeats | None
    majority: Mapping[int, Rate]
    levels: Mapping[str, tuple[int, Rate]]
    subjects: Mapping[str, tuple[int, Rate]]
    undecided: int
    unanswered: int
    cut: int
    failed: int


def sensible_ks(samples: int) -> list[int]:
    """The k to report for so many attempts: powers of two, and all of them."""
    powers = [1 << bit for bit in range(samples.bit_length())]
    return sorted({*powers, max(samples, 1)})


def summarise(scores: Sequence[Score], *, ks: Sequence[int] = (1,)) -> Summary:
    """Figures of an evaluation: pass@k and majority@k for every k of `ks`, pass@1 by level and by
    subject.

    Raises `UserError` if there is no score, or fewer than k attempts at a problem.
    """
    return Summary(
        problems=len(scores),
        attempts=sum(len(score.right) for score in scores),
        passed={k: pass_rate(scores, k) for k in ks},
        repeats=repeated(scores),
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


def repeated(scores: Sequence[Score]) -> Repeats | None:
    """The attempts of each problem as so many evaluations, the first ones of all problems the
    first; None if there are not two. A problem that could not be attempted is right in none."""
    times = min((len(score.right) for score in scores if not score.error), default=0)
    if times < 2:
        return None
    rates = [
        sum(not score.error and score.right[k] == 1.0 for score in scores) / len(scores)
        for k in range(times)
    ]
    return Repeats(times, fmean(rates), stdev(rates) / times**0.5)


def pass_rate(scores: Sequence[Score], k: int) -> Rate:
    """Pass@k: the mean over problems of `pass_at`, with the interval of `mean_rate`."""
    return mean_rate(pass_at_each(scores, k))


def pass_at_each(scores: Sequence[Score], k: int) -> list[float]:
    """`pass_at` k of each problem. Raises `UserError` if a problem has fewer attempts."""
    return [_passed(score, k) for score in scores]


def pass_at(n: int, right: int, k: int) -> float:
    """Chance that k of n attempts, drawn without replacement, include one of the `right` ones.

    The unbiased estimator 1 - C(n - right, k) / C(n, k) of Chen et al. 2021 (2107.03374, eq. 1).
    """
    if not 0 <= right <= n or not 1 <= k <= n:
        raise ValueError(f"pass@{k} of {right} right among {n}")
    return 1 - comb(n - right, k) / comb(n, k)


def majority_rates(scores: Sequence[Score], ks: Sequence[int]) -> dict[int, Rate]:
    """Accuracy of majority votes, by k: of the commonest answer among k attempts (self-consistency,
    2203.11171), of equally common ones the earliest.

    With n attempts it is the mean over the n // k groups of k in a row. Equal answers are one vote,
    as far as arithmetic can tell and without a look at the right one; no answer is no vote.
    """
    return {k: mean_rate(votes) for k, votes in elections(scores, ks).items()}


def elections(scores: Sequence[Score], ks: Sequence[int]) -> dict[int, list[float]]:
    """By k, for each problem the share of its groups of k attempts whose commonest answer is
    right."""
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
    """The answers, each replaced by the first answer that is equal to it. Of what may leave out
    its unit, `5`, `5 m` and `5 km`, no two that are not equal are one vote."""
    spoken: dict[str, str] = {}
    groups: dict[str, list[str]] = {}
    for answer in answers:
        if answer is None or answer in spoken:
            continue
        for first, others in groups.items():
            if equal(first, answer) and all(equal(other, answer) is not False for other in others):
                break
        else:
            first = answer
        groups.setdefault(first, []).append(answer)
        spoken[answer] = first
    return [answer if answer is None else spoken[answer] for answer in answers]


def _elected(votes: Sequence[str | None], right: Sequence[float | None]) -> float:
    counts = Counter(vote for vote in votes if vote is not None)
    if not counts:
        return 0.0
    ((winner, _),) = counts.most_common(1)
    return float(right[votes.index(winner)] == 1.0)


def pass_rate_over(runs: Sequence[Sequence[Score]], k: int) -> Rate:
    """Pass@k over several evaluations of the same problems, e.g. of one student per seed: the mean,
    with the interval of `mean_rate` over the problems, each with its mean over the evaluations.

    A problem counts as one observation however many evaluations there are: a bootstrap draws all
    attempts at it together, and where all evaluations agree on every problem, as one does with
    itself, Wilson's interval is of so many problems and not of so many attempts.
    """
    by_problem: dict[str, list[float]] = {}
    for scores in runs:
        for score in scores:
            by_problem.setdefault(score.id, []).append(_passed(score, k))
    return mean_rate([fmean(values) for values in by_problem.values()])


def _passed(score: Score, k: int) -> float:
    if score.error:
        return 0.0
    _enough(score, k)
    return pass_at(len(score.right), score.right.count(1.0), k)


def _enough(score: Score, k: int) -> None:
    if len(score.right) < k:
        raise UserError(f"problem {score.id!r} has {len(score.right)} attempts, too few for @{k}")

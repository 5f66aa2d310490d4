"""How good a model is: attempts at held-out problems, pass@k, intervals, and paired comparison."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import comb, sqrt
from pathlib import Path
from statistics import NormalDist, fmean, stdev

from whorl import prompts
from whorl.answer import extract, normalise
from whorl.ask import Ask, Engine, Moves
from whorl.data.atomic import replacing
from whorl.drive import drive
from whorl.errors import UserError
from whorl.problem import Problem
from whorl.search import judged

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Decoding:
    """How attempts are sampled. The defaults are greedy decoding as in SIGMA's evaluation.

    n: attempts at each problem.
    temperature, top_p, max_tokens: as in `Ask`.
    """

    n: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 2048  # DART-Math's scripts, which the paper follows

    def __post_init__(self) -> None:
        if self.n < 1 or self.max_tokens < 1:
            raise UserError("n and max_tokens must be at least 1")
        if self.n > 1 and self.temperature == 0:
            raise UserError("several attempts at temperature 0 are all the same; raise it")


@dataclass(frozen=True, slots=True)
class Score:
    """What became of the attempts at one problem.

    right: by attempt: 1.0, 0.0, or None where the judge could not decide.
    answers: by attempt: the final answer in plain form, None if there was none.
    cut: attempts that ran into `max_tokens`.
    error: why the problem could not be attempted; then there are no attempts.
    """

    id: str
    level: str
    right: tuple[float | None, ...]
    answers: tuple[str | None, ...]
    cut: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of problems, or a difference of two, with its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Summary:
    """The numbers of one evaluation.

    passed: k -> pass@k; majority: k -> accuracy of the majority vote of k attempts.
    levels: level -> (problems, pass@1).
    undecided, cut: attempts, among all `attempts`, not decided by the judge, or cut off.
    unanswered: attempts without a final answer.
    failed: problems that could not be attempted. All four count as not right.
    """

    problems: int
    attempts: int
    passed: Mapping[int, Rate]
    majority: Mapping[int, Rate]
    levels: Mapping[str, tuple[int, Rate]]
    undecided: int
    unanswered: int
    cut: int
    failed: int


@dataclass(frozen=True, slots=True)
class Paired:
    """The same problems before and after, by their first attempts.

    fixed, broken: problems that turned right, that turned wrong.
    difference: after - before, with its 95 % confidence interval.
    p_value: two-sided exact McNemar test of no change.
    """

    problems: int
    fixed: int
    broken: int
    difference: Rate
    p_value: float


def evaluate(
    problems: Iterable[Problem],
    engines: Mapping[str, Engine],
    *,
    decoding: Decoding,
    width: int = 256,
    seed: int = 0,
) -> Iterator[Score]:
    """Attempt every problem; yields scores as problems end, in any order.

    `engines` answer the roles `policy` and `judge`. A problem whose ask fails has `Score.error`.
    """
    attempted: dict[str, Problem] = {}

    def searches() -> Iterator[tuple[str, Moves[Score]]]:
        for problem in problems:
            key = f"{problem.id}#evaluate"
            attempted[key] = problem
            yield key, attempts(problem, decoding)

    for finished in drive(searches(), engines, width=width, seed=seed):
        problem = attempted.pop(finished.key)
        if finished.result is not None:
            yield finished.result
        else:
            yield Score(problem.id, problem.level, (), (), error=finished.error or "")


def attempts(problem: Problem, decoding: Decoding) -> Moves[Score]:
    """Solve one problem `decoding.n` times and judge every attempt."""
    (replies,) = yield [
        Ask(
            prompts.solve(problem.question),
            n=decoding.n,
            max_tokens=decoding.max_tokens,
            temperature=decoding.temperature,
            top_p=decoding.top_p,
        )
    ]
    texts = [reply.text for reply in replies]
    right = yield from judged(problem.answer, texts)
    answers = [extract(text) for text in texts]
    return Score(
        problem.id,
        problem.level,
        tuple(right),
        tuple(None if answer is None else normalise(answer) for answer in answers),
        cut=sum(reply.finished == "length" for reply in replies),
    )


def write_scores(path: Path, scores: Iterable[Score]) -> int:
    """One line of JSON per problem, sorted by id, so that equal scores make equal files; returns
    how many. The file appears when it is complete."""
    ordered = sorted(scores, key=lambda score: score.id)
    with replacing(path) as file:
        for score in ordered:
            file.write(json.dumps(asdict(score), separators=(",", ":")).encode() + b"\n")
    return len(ordered)


def read_scores(path: Path) -> list[Score]:
    """Inverse of `write_scores`. Raises `UserError` with file and line number at a bad line."""
    scores = []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                scores.append(_read_score(line, f"{path}:{number}"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    return scores


def _read_score(line: bytes, where: str) -> Score:
    try:
        row = json.loads(line)
        row["right"], row["answers"] = tuple(row["right"]), tuple(row["answers"])
        score = Score(**row)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{where}: not a line of scores") from error
    if not all(right in (0.0, 1.0, None) for right in score.right):
        raise UserError(f"{where}: right must be 1, 0 or null for each attempt")
    return score


def summarise(scores: Sequence[Score], *, ks: Sequence[int] = (1,)) -> Summary:
    """Pass@k and majority@k for every k of `ks`, and the table by level.

    Raises `UserError` if there is no score, or fewer than k attempts at a problem.
    """
    levels = sorted({score.level for score in scores})
    by_level = {level: [s for s in scores if s.level == level] for level in levels}
    return Summary(
        problems=len(scores),
        attempts=sum(len(score.right) for score in scores),
        passed={k: pass_rate(scores, k) for k in ks},
        majority={k: majority_rate(scores, k) for k in ks if k > 1},
        levels={level: (len(own), pass_rate(own, 1)) for level, own in by_level.items()},
        undecided=sum(score.right.count(None) for score in scores),
        unanswered=sum(score.answers.count(None) for score in scores),
        cut=sum(score.cut for score in scores),
        failed=sum(bool(score.error) for score in scores),
    )


def pass_rate(scores: Sequence[Score], k: int) -> Rate:
    """Pass@k, the mean over problems of `pass_at`.

    The interval is Wilson's where every problem passes or does not, as at one attempt each, else
    a bootstrap over problems.
    """
    return _rate([_passed(score, k) for score in scores])


def majority_rate(scores: Sequence[Score], k: int) -> Rate:
    """Accuracy of the commonest answer among the first k attempts; a tie goes to the earliest.

    Answers are the same vote if their plain forms are; no answer is no vote.
    """
    return _rate([_voted(score, k) for score in scores])


def pass_at(n: int, right: int, k: int) -> float:
    """Chance that k of n attempts, drawn without replacement, include one of the `right` ones.

    The unbiased estimator 1 - C(n - right, k) / C(n, k) of Chen et al. 2021 (2107.03374, eq. 1).
    """
    if not 0 <= right <= n or not 1 <= k <= n:
        raise ValueError(f"pass@{k} of {right} right among {n}")
    return 1 - comb(n - right, k) / comb(n, k)


def wilson(successes: int, trials: int) -> Rate:
    """Wilson's score interval for a proportion."""
    from scipy.stats import binomtest

    interval = binomtest(successes, trials).proportion_ci(CONFIDENCE, method="wilson")
    return Rate(successes / trials, float(interval.low), float(interval.high))


def bootstrap(values: Sequence[float], *, resamples: int = 2000, seed: int = 0) -> Rate:
    """The mean with a percentile bootstrap interval over `values`, one for each problem."""
    from numpy import array, quantile
    from numpy.random import default_rng

    random, each = default_rng(seed), array(values)
    means = [random.choice(each, len(each)).mean() for _ in range(resamples)]
    low, high = quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Rate(fmean(values), float(low), float(high))


def paired(before: Sequence[Score], after: Sequence[Score]) -> Paired:
    """Compare two evaluations of the same problems, in whatever order, by their first attempts.

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
    for before, after in runs:
        first, second = _firsts(before), _firsts(after)
        for id in first:
            changes.setdefault(id, []).append(second[id] - first[id])
    if any(len(own) < len(runs) for own in changes.values()):
        raise UserError("the evaluations are not of the same problems")
    means = [fmean(own) for own in changes.values()]
    n, gap = len(means), fmean(means)
    error = stdev(means) / sqrt(n) if n > 1 else 0.0
    half = float(t.ppf((1 + CONFIDENCE) / 2, n - 1)) * error if error else 0.0
    return Paired(
        problems=n,
        fixed=sum(one.fixed for one in each),
        broken=sum(one.broken for one in each),
        difference=Rate(gap, max(-1.0, gap - half), min(1.0, gap + half)),
        p_value=float(2 * t.sf(abs(gap) / error, n - 1)) if error else float(gap == 0),
    )


def _passed(score: Score, k: int) -> float:
    if score.error:
        return 0.0
    if len(score.right) < k:
        raise UserError(f"problem {score.id!r} has {len(score.right)} attempts, too few for @{k}")
    return pass_at(len(score.right), score.right.count(1.0), k)


def _voted(score: Score, k: int) -> float:
    if not score.error and len(score.right) < k:
        raise UserError(f"problem {score.id!r} has {len(score.right)} attempts, too few for @{k}")
    votes = Counter(answer for answer in score.answers[:k] if answer is not None)
    if not votes:
        return 0.0
    ((winner, _),) = votes.most_common(1)
    return float(score.right[score.answers.index(winner)] == 1.0)


def _rate(values: Sequence[float]) -> Rate:
    if not values:
        raise UserError("there are no scores to summarise")
    if all(value in (0.0, 1.0) for value in values):
        return wilson(int(sum(values)), len(values))
    return bootstrap(values)


def _firsts(scores: Sequence[Score]) -> dict[str, bool]:
    """Problem id -> its first attempt is right."""
    firsts = {score.id: score.right[:1] == (1.0,) for score in scores}
    if len(firsts) < len(scores):
        twice = next(id for id, n in Counter(score.id for score in scores).items() if n > 1)
        raise UserError(f"problem {twice!r} is scored twice in one evaluation")
    return firsts

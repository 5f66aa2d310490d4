"""Forecasts of whole runs from a small measured sample, and how far one was off afterwards."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import reduce
from itertools import chain
from math import ceil
from pathlib import Path
from random import Random
from typing import Any

from whorl.data.atomic import replacing
from whorl.data.rounds import rounds_of
from whorl.errors import UserError
from whorl.evaluate import Place, read_records

_DRAWS = 2000  # of the bootstrap
_INTERVAL = (0.05, 0.95)


@dataclass(frozen=True, slots=True)
class Amount:
    """An expected amount, with a 90 % interval."""

    expected: float
    low: float
    high: float

    def times(self, factor: float) -> "Amount":
        """The amount `factor` times."""
        return Amount(self.expected * factor, self.low * factor, self.high * factor)

    def plus(self, more: "Amount") -> "Amount":
        """The amount and another one."""
        return Amount(self.expected + more.expected, self.low + more.low, self.high + more.high)

    @classmethod
    def known(cls, amount: float) -> "Amount":
        """An amount without doubt."""
        return cls(amount, amount, amount)


def mean(values: Sequence[float]) -> Amount:
    """The mean of independent values, with an interval by the percentile bootstrap. Of one value
    the interval is unknown, which is said as from nothing to infinity."""
    expected = sum(values) / len(values)
    if len(values) < 2:
        return Amount(expected, 0.0, float("inf"))
    lots = Random(0)
    draws = sorted(sum(lots.choices(values, k=len(values))) / len(values) for _ in range(_DRAWS))
    low, high = (draws[int(share * (_DRAWS - 1))] for share in _INTERVAL)
    return Amount(expected, low, high)


@dataclass(frozen=True, slots=True)
class Scale:
    """Size of a run: problems of a round, searches of a problem, rounds; times that the model is
    measured, problems of the test and problems that are held out, on which it is; whether a round
    learns from all examples so far."""

    problems: int
    arms: int
    rounds: int
    exams: int = 0
    test: int = 0
    held: int = 0
    cumulative: bool = False

    @property
    def harvests(self) -> int:
        """Rounds' worth of examples that are trained on, over the whole run."""
        return self.rounds * (self.rounds + 1) // 2 if self.cumulative else self.rounds


@dataclass(frozen=True, slots=True)
class Attempts:
    """Attempts at some problems of an exam, measured.

    tokens: sampled ones, for each problem.
    prompt_tokens, money, bytes, seconds: of all of it.
    """

    tokens: Sequence[float]
    prompt_tokens: int
    money: float
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Sample:
    """Measurements of some problems of a run.

    tokens: sampled ones, for each problem of the sample.
    requests, prompt_tokens, money, bytes: of all of it; bytes of trees, journal and examples.
    seconds: of growing.
    train_seconds: of one epoch over its examples, without loading; None if nothing was trained.
    epochs: that the run trains.
    model: bytes of a model folder as training leaves it, one of which is kept of each round.
    test, held: attempts at problems of the test, and at held-out ones; None if there are none.
    """

    tokens: Sequence[float]
    requests: int
    prompt_tokens: int
    money: float
    bytes: int
    seconds: float
    train_seconds: float | None = None
    epochs: int = 1
    model: int = 0
    test: Attempts | None = None
    held: Attempts | None = None

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> "Sample":
        """Inverse of `asdict`."""
        exams = {name: Attempts(**said[name]) for name in ("test", "held") if said[name]}
        return cls(**{**said, **exams})


@dataclass(frozen=True, slots=True)
class Forecast:
    """Amounts that a run is likely to take, by name: `tokens`, `prompt_tokens`, `requests`,
    `money`, `bytes`, and seconds of one machine for `grow`, `evaluate` and `train`; scale and
    sample are what it follows from."""

    amounts: Mapping[str, Amount]
    scale: Scale
    sample: Sample

    @property
    def grown(self) -> dict[str, Amount]:
        """The amounts of growing alone, by the same names."""
        return _growing(self.sample, self.scale)

    @classmethod
    def of(cls, sample: Sample, scale: Scale) -> "Forecast":
        """Extrapolate: what growing takes, and what attempts take, goes with the tokens sampled for
        a problem."""
        amounts = _sum(_growing(sample, scale), *_attempting(sample, scale))
        amounts["bytes"] = amounts["bytes"].plus(Amount.known(scale.rounds * sample.model))
        if sample.train_seconds is not None:
            problem = mean(sample.tokens)
            epoch = sample.train_seconds * scale.problems / len(sample.tokens)
            per_tree = problem.times(1 / (problem.expected or 1.0))
            amounts["train"] = per_tree.times(epoch * sample.epochs * scale.harvests)
        return cls(amounts, scale, sample)

    def wall(self, machines: int) -> Amount:
        """Seconds from start to end on so many machines: searches and attempts are divided among
        them, training is not."""
        parts = (
            self.amounts[name].times(1 / (1 if name == "train" else machines))
            for name in ("grow", "evaluate", "train")
            if name in self.amounts
        )
        return reduce(Amount.plus, parts)

    def write(self, path: Path) -> None:
        """Write the forecast, for `read`."""
        with replacing(path) as file:
            file.write(json.dumps(asdict(self), indent=2).encode() + b"\n")

    @classmethod
    def read(cls, path: Path) -> "Forecast":
        """Inverse of `write`. Raises `UserError` if there is none."""
        try:
            said = json.loads(path.read_bytes())
            amounts = {name: Amount(**amount) for name, amount in said["amounts"].items()}
            return cls(amounts, Scale(**said["scale"]), Sample.read(said["sample"]))
        except FileNotFoundError as error:
            raise UserError(f"{path} is not there; whorl plan makes it before a run") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path} cannot be read: {error!r}; make it anew: whorl plan"
            ) from error


def _growing(sample: Sample, scale: Scale) -> dict[str, Amount]:
    """Amounts of growing the trees of a run."""
    searched = mean(sample.tokens).times(scale.problems * scale.rounds)
    measured = {
        "prompt_tokens": sample.prompt_tokens,
        "requests": sample.requests,
        "money": sample.money,
        "bytes": sample.bytes,
        "grow": sample.seconds,
    }
    return {"tokens": searched, **_with_tokens(searched, sample.tokens, measured)}


def _with_tokens(
    all_tokens: Amount, sampled: Sequence[float], measured: Mapping[str, float]
) -> dict[str, Amount]:
    """Amounts that go with tokens, by what was measured while so many were sampled."""
    total = sum(sampled) or 1.0
    return {name: all_tokens.times(amount / total) for name, amount in measured.items()}


def _attempting(sample: Sample, scale: Scale) -> Iterator[dict[str, Amount]]:
    """Amounts of attempting the test, and of attempting what is held out."""
    for attempts, problems in ((sample.test, scale.test), (sample.held, scale.held)):
        if attempts is not None:
            yield _attempts(attempts, problems, scale.exams)


def _attempts(found: Attempts, problems: int, exams: int) -> dict[str, Amount]:
    """Amounts of attempting so many problems so often, by attempts at some of them."""
    each = mean(found.tokens)
    if len(found.tokens) >= problems:
        each = Amount.known(each.expected)  # none was left to the lot
    attempted = each.times(problems * exams)
    measured = {
        "prompt_tokens": found.prompt_tokens,
        "money": found.money,
        "bytes": found.bytes,
        "evaluate": found.seconds,
    }
    like = _with_tokens(attempted, found.tokens, measured)
    return {"tokens": attempted, "requests": Amount.known(problems * exams), **like}


def _sum(*parts: Mapping[str, Amount]) -> dict[str, Amount]:
    """The sums of amounts of the same names."""
    total: dict[str, Amount] = {}
    for name, amount in chain.from_iterable(part.items() for part in parts):
        total[name] = total[name].plus(amount) if name in total else amount
    return total


@dataclass(frozen=True, slots=True)
class Check:
    """A run beside its forecast: by name, the amount that was expected and the one that it took.
    rounds: that were played, as against those that were planned."""

    amounts: Mapping[str, tuple[Amount, float]]
    rounds: int
    planned: int


def checked(forecast: Forecast, run: Path) -> Check:
    """Compare a forecast with the run in a folder, as far as it was played. Raises `UserError` if
    no round is complete."""
    rounds = [path for path in rounds_of(run) if (path / "seconds.json").exists()]
    if not rounds:
        raise UserError(f"{run} has played no round to its end; whorl plan --check is for later")
    played = len(rounds)
    harvests = (json.loads((path / "harvested.json").read_bytes()) for path in rounds)
    tokens = sum(sum(harvest["cost"].values()) for harvest in harvests)
    seconds = sum(json.loads((path / "seconds.json").read_bytes())["seconds"] for path in rounds)
    size = sum(file.stat().st_size for path in rounds for file in path.rglob("*") if file.is_file())
    for place in _exams(run, played + 1):
        tokens += sum(one.tokens for each in read_records(place.attempts) for one in each.attempts)
        size += place.scores.stat().st_size + place.attempts.stat().st_size
    likely = _as_far(forecast, played, exams=played + 1).amounts
    # what is measured before the first round is in no round's seconds
    wall = _as_far(forecast, played, exams=played).wall(1)
    found = {
        "tokens": (likely["tokens"], tokens),
        "bytes": (likely["bytes"], size),
        "wall": (wall, seconds),
    }
    return Check(found, played, forecast.scale.rounds)


def _as_far(forecast: Forecast, rounds: int, *, exams: int) -> Forecast:
    """A forecast of so many of its rounds and exams."""
    return Forecast.of(forecast.sample, replace(forecast.scale, rounds=rounds, exams=exams))


def _exams(run: Path, count: int) -> Iterator[Place]:
    """The first exams of a run, so many on the test and on held-out problems, that are there."""
    names = (f"{kind}-{number}.jsonl" for kind in ("scores", "held-out") for number in range(count))
    places = (Place(run / name) for name in names)
    return (place for place in places if place.scores.exists() and place.attempts.exists())


def sample_size(problems: int, searches: int, width: int) -> int:
    """How many problems to measure, of so many: twice as many searches as are in flight would tell
    the rate, 16 to 48 problems tell the mean."""
    return min(problems, max(16, min(48, ceil(2 * width / searches))))

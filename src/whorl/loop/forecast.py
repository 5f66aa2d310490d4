"""Forecasts of whole runs from a small measured sample, and how far one was off afterwards."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from random import Random

from whorl.data.atomic import replacing
from whorl.data.rounds import rounds_of
from whorl.errors import UserError

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

    def plus(self, more: float) -> "Amount":
        """The amount and `more`, which is known."""
        return Amount(self.expected + more, self.low + more, self.high + more)


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
    """Size of a run: problems of a round, searches of a problem, rounds, times that the model is
    measured and problems that it is measured on; whether a round learns from all examples so far.
    """

    problems: int
    arms: int
    rounds: int
    exams: int = 0
    test: int = 0
    cumulative: bool = False

    @property
    def harvests(self) -> int:
        """Rounds' worth of examples that are trained on, over the whole run."""
        return self.rounds * (self.rounds + 1) // 2 if self.cumulative else self.rounds


@dataclass(frozen=True, slots=True)
class Sample:
    """Measurements of some problems of a run.

    tokens: sampled ones, for each problem of the sample.
    requests, prompt_tokens, money, bytes: of all of it; bytes of trees, journal and examples.
    seconds: of growing.
    train_seconds: of one epoch over its examples, without loading; None if nothing was trained.
    epochs: that the run trains.
    model: bytes of a model folder as training leaves it, one of which is kept of each round.
    exam_seconds, exam_tokens: for each test problem that was attempted; None if none was.
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
    exam_seconds: float | None = None
    exam_tokens: float = 0.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """Amounts that a run is likely to take, by name: `tokens`, `prompt_tokens`, `requests`,
    `money`, `bytes`, and seconds of one machine for `grow`, `evaluate` and `train`; scale and
    sample are what it follows from."""

    amounts: Mapping[str, Amount]
    scale: Scale
    sample: Sample

    @classmethod
    def of(cls, sample: Sample, scale: Scale) -> "Forecast":
        """Extrapolate: everything that growing takes goes with the tokens sampled for a problem."""
        problem = mean(sample.tokens)
        count = len(sample.tokens)
        searched = problem.times(scale.problems * scale.rounds)
        total = sum(sample.tokens) or 1.0

        def like(measured: float) -> Amount:
            return searched.times(measured / total)

        exams = scale.exams * scale.test
        amounts = {
            "tokens": searched.plus(exams * sample.exam_tokens),
            "prompt_tokens": like(sample.prompt_tokens),
            "requests": like(sample.requests),
            "money": like(sample.money),
            "bytes": like(sample.bytes).plus(scale.rounds * sample.model),
            "grow": like(sample.seconds),
        }
        if sample.exam_seconds is not None:
            amounts["evaluate"] = Amount(*(exams * sample.exam_seconds,) * 3)
        if sample.train_seconds is not None:
            epoch = sample.train_seconds * scale.problems / count
            per_tree = problem.times(1 / (problem.expected or 1.0))
            amounts["train"] = per_tree.times(epoch * sample.epochs * scale.harvests)
        return cls(amounts, scale, sample)

    def wall(self, machines: int) -> Amount:
        """Seconds from start to end on so many machines: searches and attempts are divided among
        them, training is not."""
        parts = [
            self.amounts[name].times(1 / (1 if name == "train" else machines))
            for name in ("grow", "evaluate", "train")
            if name in self.amounts
        ]
        return Amount(
            sum(part.expected for part in parts),
            sum(part.low for part in parts),
            sum(part.high for part in parts),
        )

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
            return cls(amounts, Scale(**said["scale"]), Sample(**said["sample"]))
        except FileNotFoundError as error:
            raise UserError(f"{path} is not there; whorl plan makes it before a run") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} cannot be read: {error!r}") from error


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
    tokens = sum(
        sum(json.loads((p / "harvested.json").read_bytes())["cost"].values()) for p in rounds
    )
    seconds = sum(json.loads((path / "seconds.json").read_bytes())["seconds"] for path in rounds)
    size = sum(file.stat().st_size for path in rounds for file in path.rglob("*") if file.is_file())
    share = len(rounds) / forecast.scale.rounds
    exams = forecast.scale.exams * forecast.scale.test * forecast.sample.exam_tokens
    found = {
        "tokens": (forecast.amounts["tokens"].plus(-exams).times(share), tokens),
        "bytes": (forecast.amounts["bytes"].times(share), size),
        "wall": (forecast.wall(1).times(share), seconds),
    }
    return Check(found, len(rounds), forecast.scale.rounds)


def sample_size(problems: int, searches: int, width: int) -> int:
    """How many problems to measure, of so many: twice as many searches as are in flight would tell
    the rate, 16 to 48 problems tell the mean."""
    return min(problems, max(16, min(48, ceil(2 * width / searches))))

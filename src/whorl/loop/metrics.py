"""Figures of each round of a run, and whether they still rise."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from whorl.evaluate import Score, pass_rate
from whorl.learn.training import TrainResult
from whorl.loop.grow import Grown
from whorl.loop.harvest import Harvested
from whorl.loop.variety import usable_share


@dataclass(frozen=True, slots=True)
class Round:
    """Results of one round.

    harvested: counts of this round's trees; their variety is that of the policy it began with.
    model: the engine of the model it ended with.
    scores: of that model, empty if nothing was measured; attempts: made at each test problem.
    watched: its mean outcome in [0, 1] over solutions sampled for the held-out training problems;
        None if none are held out.
    seconds: wall clock of all calls that worked on the round; one that was killed lasted until it
        last wrote a file.
    """

    number: int
    grown: Grown
    harvested: Harvested
    trained: TrainResult
    model: str
    scores: Sequence[Score]
    watched: float | None
    seconds: float
    attempts: int = 1


def metrics(played: Round) -> dict[str, object]:
    """A round as a line in `metrics.jsonl`.

    round: its number; the first is 1.
    trees, failed: searches that gave a tree, and that ended in an error.
    tokens: sampled to grow the trees, discarded branches included, by role; generated_tokens: all.
    examples: harvested from this round's trees.
    learned: examples trained on in each epoch; from a `first` start those of all rounds so far.
    negative: share of them with a negative weight.
    loss, sharing: see `TrainResult`.
    solutions, right, entropy: see `Variety`.
    usable: share of the states or prefixes that can be learned from, if the recipe counts them;
        see `variety.usable_share`.
    seconds, held_out, model: see `Round`; held_out is its `watched`.
    accuracy: pass@1 of the test problems, in [0, 1], if there are any.
    passed: k -> value, low and high of pass@k and its 95 % interval, for 1 and `evaluate.n`.
    """
    scores = played.scores
    # as many as were asked for: of problems that failed the scores hold none
    passed = {k: pass_rate(scores, k) for k in {1, played.attempts}} if scores else {}
    line = {
        "round": played.number,
        "trees": played.grown.trees,
        "failed": len(played.grown.failures),
        "generated_tokens": sum(played.harvested.cost.values()),
        "tokens": dict(played.harvested.cost),
        "examples": played.harvested.examples,
        "learned": played.trained.examples,
        "negative": played.trained.negative,
        "loss": played.trained.loss,
        "sharing": played.trained.sharing,
        **asdict(played.harvested.variety),
        "usable": usable_share(played.harvested.tally),
        "seconds": played.seconds,
        "model": played.model,
        "held_out": played.watched,
        "accuracy": passed[1].value if passed else None,
        "passed": {k: (rate.value, rate.low, rate.high) for k, rate in sorted(passed.items())},
    }
    return {name: value for name, value in line.items() if value not in (None, {})}


def stopped_rising(values: Sequence[float], patience: int) -> bool:
    """Whether none of the last `patience` values is above the best before them.

    values: before the first round, after it, and so on. Never with a patience of 0.
    """
    return 0 < patience < len(values) and max(values[-patience:]) <= max(values[:-patience])


def best_model(models: Sequence[Path], values: Sequence[float]) -> str:
    """The model that did best on the held-out problems, the first of equals, in words."""
    best = values.index(max(values))
    which = f"of round {best}" if best else "it started from, which no round surpassed"
    return (
        f"best on the held-out problems: the model {which}, {100 * values[best]:.1f} % right: "
        f"{models[best]}"
    )

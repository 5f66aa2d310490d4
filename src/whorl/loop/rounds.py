"""The loop: grow, harvest, train, evaluate, then again with the better model."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeVar

from whorl.budget import Budget, Purse
from whorl.data.atomic import replacing
from whorl.data.examples import read_examples
from whorl.data.forest import read_trees
from whorl.data.problems import write_problems
from whorl.engines.journal import Journal
from whorl.engines.roles import Opened, following, trainable
from whorl.evaluate import Decoding, Score, Setup, pass_rate, read_scores
from whorl.evaluate.exam import Exam, measure
from whorl.learn.training import TrainResult
from whorl.loop.folder import RunFolder
from whorl.loop.grow import Grown, Ready, grow_run
from whorl.loop.harvest import Harvested, distinct, harvest
from whorl.loop.run import Run
from whorl.loop.split import held_out
from whorl.loop.variety import Variety, usable
from whorl.loop.variety import variety as variety_of
from whorl.watch import Watch

T = TypeVar("T")

WATCHED = Decoding(n=8, temperature=0.8, top_p=0.95)
"""How held-out training problems are attempted: as MARGE samples the completions of a state, so
that the share of right ones is the value of the question (papers.md 2.9). It costs no more than
8 solutions for every twentieth problem."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one round did.

    variety: of this round's trees, so of the policy that it began with.
    model: the policy it ended with.
    scores: of that policy, empty if nothing was measured.
    watched: that policy's mean outcome in [0, 1] over solutions sampled for the held-out training
        problems; None if none are held out.
    seconds: wall clock of the call in which the round ended; what a call that was interrupted
        spent is not in it.
    """

    number: int
    grown: Grown
    harvested: Harvested
    variety: Variety
    trained: TrainResult
    model: str
    scores: Sequence[Score]
    watched: float | None
    seconds: float


class Unfinished(Exception):
    """The budget ended while a round grew its trees in `folder`, of which there are `grown`."""

    def __init__(self, folder: Path, grown: Grown) -> None:
        super().__init__(f"the budget is spent: {grown.limit}")
        self.folder = folder
        self.grown = grown


@dataclass(frozen=True, slots=True)
class _Took:
    seconds: float

    @classmethod
    def since(cls, start: float) -> "_Took":
        return cls(time.monotonic() - start)


def iterate(folder: RunFolder, run: Run, prepared: Ready, watch: Watch) -> list[Round]:
    """Play the rounds of a run: each searches with the newest policy and trains the next one.

    Every round has a run folder of its own, `round-1` and so on. What a stage found is written
    last, so the same call skips stages that are complete and goes on in the one that is not.
    With `run.patience` it may end early. It then says why, and which model is the best; all of them
    are kept. Raises `Unfinished` where the budget ends first.
    """
    opened = prepared.opened
    purse = Purse(run.budget)
    base = run.weights  # raises before anything is grown
    rounds: list[Round] = []
    _scores(folder, run, 0, opened, watch)
    watched = [_watched(folder, run, 0, opened, watch)]
    for number in range(1, run.rounds + 1):
        watch.say(f"round {number} of {run.rounds}: the policy is {run.engines.policy}")
        start = time.monotonic()
        with _round(folder, run, number) as inner:
            last = trees_before(folder, number)
            grown, harvested, variety = _explore(inner, run, prepared, watch, purse, last)
            trained = _learn(folder, run, number, base, opened, watch)
            model = following(run.engines.policy, inner.path / "checkpoint")
            run = replace(run, seed=run.seed + 1, engines=replace(run.engines, policy=model))
            opened.engines = run.engines
            scores = _scores(folder, run, number, opened, watch)
            watched.append(_watched(folder, run, number, opened, watch))
            took = _once(inner.path / "seconds.json", _Took, partial(_Took.since, start))
        rounds.append(
            Round(
                number,
                grown,
                harvested,
                variety,
                trained,
                model,
                scores,
                watched[-1],
                took.seconds,
            )
        )
        with replacing(folder.metrics) as file:
            for played in rounds:
                file.write(json.dumps(metrics(played)).encode() + b"\n")
        values = [value for value in watched if value is not None]
        if stale(values, run.patience):
            watch.say(f"stopped: no rise in {run.patience} rounds on the held-out problems")
            break
    if run.patience:
        watch.say(_best([base, *(trainable(played.model) for played in rounds)], values))
    return rounds


def metrics(played: Round) -> dict[str, object]:
    """A round's line in `metrics.jsonl`.

    round: its number; the first is 1.
    trees, failed: searches that gave a tree, and that ended in an error.
    tokens: sampled to grow the trees, discarded branches included, by role; generated_tokens: all.
    examples: harvested from this round's trees.
    learned: examples trained on in each epoch; from a `first` start those of all rounds so far.
    negative: share of them with a negative weight.
    loss, sharing: see `TrainResult`.
    solutions, right, entropy: see `Variety`.
    usable: share of the states or prefixes that can be learned from, if the recipe counts them;
        see `variety.usable`.
    seconds, held_out, model: see `Round`; held_out is its `watched`.
    accuracy: pass@1 of the test problems, in [0, 1], if there are any.
    passed: k -> value, low and high of pass@k and its 95 % interval, for 1 and `evaluate.n`.
    """
    scores = played.scores
    attempts = max((len(score.right) for score in scores), default=1)
    passed = {k: pass_rate(scores, k) for k in {1, max(1, attempts)}} if scores else {}
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
        **asdict(played.variety),
        "usable": usable(played.harvested.tally),
        "seconds": played.seconds,
        "model": played.model,
        "held_out": played.watched,
        "accuracy": passed[1].value if passed else None,
        "passed": {k: (rate.value, rate.low, rate.high) for k, rate in sorted(passed.items())},
    }
    return {name: value for name, value in line.items() if value not in (None, {})}


def stale(values: Sequence[float], patience: int) -> bool:
    """Whether none of the last `patience` values is above the best before them.

    values: before the first round, after it, and so on. Never with a patience of 0.
    """
    return 0 < patience < len(values) and max(values[-patience:]) <= max(values[:-patience])


def _best(models: Sequence[Path], values: Sequence[float]) -> str:
    """Which model did best on the held-out problems, the first of equals, in words."""
    best = values.index(max(values))
    which = f"of round {best}" if best else "it started from, which no round surpassed"
    return (
        f"best on the held-out problems: the model {which}, {100 * values[best]:.1f} % right: "
        f"{models[best]}"
    )


def _round(folder: RunFolder, run: Run, number: int) -> RunFolder:
    """The folder of a round. Its settings are what its trees depend on, as for `whorl grow`."""
    names = ("recipe", "problems", "engines", "budget")
    said = {name: folder.settings[name] for name in names if name in folder.settings}
    said["seed"] = run.seed
    if number > 1:
        said["engines"] = {**said["engines"], "policy": run.engines.policy}
    return RunFolder.open(place(folder, number), said, version=folder.version)


def place(folder: RunFolder, number: int) -> Path:
    """The folder of a round."""
    return folder.path / f"round-{number}"


def trees_before(folder: RunFolder, number: int) -> Path | None:
    """The trees of the round before; None for the first."""
    return place(folder, number - 1) / "trees.jsonl" if number > 1 else None


def _explore(
    folder: RunFolder, run: Run, prepared: Ready, watch: Watch, purse: Purse, last: Path | None
) -> tuple[Grown, Harvested, Variety]:
    """Grow and harvest in one round's folder. last: the trees of the round before."""

    def grow_now() -> Grown:
        grown = grow_run(folder, run, prepared, watch, last=last, purse=purse)
        if grown.missing:
            raise Unfinished(folder.path, grown)
        return grown

    if run.budget != Budget() and (folder.path / "grown.json").exists():  # it was paid for earlier
        with Journal(folder.journal) as journal:
            purse.count(journal.usage())
    grown = _once(folder.path / "grown.json", Grown, grow_now)
    harvested = _once(
        folder.path / "harvested.json",
        Harvested,
        lambda: harvest(folder.trees, run.recipe, folder.examples),
    )
    watch.wrote(folder.examples, f"{harvested.examples:,} examples")
    variety = _once(
        folder.path / "variety.json",
        Variety,
        lambda: variety_of(read_trees(folder.trees)),
    )
    return grown, harvested, variety


def _learn(
    folder: RunFolder, run: Run, number: int, base: Path, opened: Opened, watch: Watch
) -> TrainResult:
    """Train the model of a round, from the newest one or from `base`."""
    from whorl.learn.train import train  # takes seconds, and growing does not need it

    first = run.starts == "first"
    rounds = range(1, number + 1) if first else (number,)
    files = [place(folder, each) / "examples.jsonl" for each in rounds]
    checkpoint = place(folder, number) / "checkpoint"
    if not checkpoint.exists():
        opened.rest()
    trained = train(
        base if first or number == 1 else trainable(run.engines.policy),
        distinct(chain.from_iterable(map(read_examples, files))),
        checkpoint,
        settings=run.train,
        objective=run.recipe.objective,
        watch=watch,
    )
    watch.wrote(checkpoint, f"model after {trained.steps:,} steps, loss {trained.loss:.4f}")
    return trained


def _scores(
    folder: RunFolder, run: Run, number: int, opened: Opened, watch: Watch
) -> Sequence[Score]:
    """Scores on the test problems of the policy after round `number`; 0 is before the first."""
    if run.test is None:
        return ()
    path = folder.path / f"scores-{number}.jsonl"
    return _measured(path, run, opened, run.test, run.evaluate, watch)


def _watched(
    folder: RunFolder, run: Run, number: int, opened: Opened, watch: Watch
) -> float | None:
    """Mean outcome on the held-out training problems of the policy after round `number`."""
    if not run.patience:
        return None
    problems = folder.path / "held-out.jsonl"
    if not problems.exists():
        write_problems(problems, held_out(run))
    decoding = replace(WATCHED, max_tokens=run.evaluate.max_tokens)
    path = folder.path / f"held-out-{number}.jsonl"
    return pass_rate(_measured(path, run, opened, problems, decoding, watch), 1).value


def _measured(
    path: Path, run: Run, opened: Opened, problems: Path, decoding: Decoding, watch: Watch
) -> Sequence[Score]:
    """Scores of the policy, measured now unless they are at `path`."""
    if not path.exists():
        exam = Exam(problems, Setup(decoding=decoding), run.seed)
        scores = measure(opened, exam, watch, out=path)
        watch.wrote(path, f"scores of {len(scores):,} problems")
    return read_scores(path)


def _once(path: Path, kind: type[T], work: Callable[[], T]) -> T:
    """What an earlier call wrote to `path`; else what `work` finds, written to `path`."""
    if path.exists():
        return kind(**json.loads(path.read_text()))
    found = work()
    with replacing(path) as file:
        file.write(json.dumps(asdict(found), indent=2).encode() + b"\n")  # type: ignore[call-overload]
    return found

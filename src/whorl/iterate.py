"""The loop: grow, harvest, train, evaluate, then again with the better model."""

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Protocol, TypeVar

from whorl import __version__, findings, stages
from whorl.ask import Engine, Role
from whorl.budget import Budget, Purse
from whorl.data.atomic import replacing
from whorl.data.contamination import seen
from whorl.data.content import content, model_content
from whorl.data.examples import read_examples
from whorl.data.forest import read_trees
from whorl.data.problems import read_problems, write_problems
from whorl.engines import open_engine
from whorl.engines.judge import Judges
from whorl.engines.meter import Meter
from whorl.errors import UserError
from whorl.evaluate import (
    Decoding,
    Place,
    Record,
    Score,
    Setup,
    evaluate,
    in_order,
    keep,
    pass_rate,
    read_scores,
)
from whorl.evaluate.seen import trained_on
from whorl.findings import Variety
from whorl.folder import RunFolder
from whorl.journal import Journal
from whorl.learn.training import Training, TrainResult
from whorl.problem import Problem
from whorl.prompts import TEMPLATES
from whorl.recipe import Recipe, Start
from whorl.stages import Grown, Harvested, Plan, Progress

T = TypeVar("T")

WATCHED = Decoding(n=8, temperature=0.8, top_p=0.95)
"""How held-out training problems are attempted: as MARGE samples the completions of a state, so
that the share of right ones is the value of the question (papers.md 2.9). It costs no more than
8 solutions for every twentieth problem."""


@dataclass(frozen=True, slots=True)
class Engines:
    """Who answers, e.g. `local:path/to/model`; roles that name the same engine share it.

    An empty name is for a role that the recipe does not ask.
    processes: each model runs in so many of its own; 0 is inside this one.
    """

    policy: str = ""
    critic: str = ""
    reviser: str = ""
    small: str = ""
    prm: str = ""
    processes: int = 1

    def __post_init__(self) -> None:
        if self.processes < 0:
            raise UserError(f"processes should be at least 0, not {self.processes}")

    def named(self) -> dict[Role, str]:
        """The engines that are named, by role."""
        roles: tuple[Role, ...] = ("policy", "critic", "reviser", "small", "prm")
        return {role: spec for role in roles if (spec := getattr(self, role))}


@dataclass(frozen=True, slots=True)
class Run:
    """A whole run, as a run file says it.

    run: the run folder.
    problems: file to grow trees for.
    test: file to measure on; without it nothing is measured.
    base: folder of the policy's weights, where it is behind a server; what is trained from them is
        searched with on this machine. None: the folder of `engines.policy`.
    rounds: times round the loop at most.
    start: where each round's training starts; None is where the recipe says. The policy that
        searches is always the newest.
    patience: stop after so many rounds in which accuracy on held-out training problems did not rise
        above its best so far; 0 plays every round and holds nothing out. MARGE stops early and MCTS
        process supervision goes on until there is no more gain: 2 is our value for both.
    holdout: share of the problems, in (0, 1), that is held out for that (papers.md 2.9).
    width: searches in flight.
    limit: only the first so many problems.
    skip_bad: pass over bad lines of problems.
    budget: what growing may spend, over all rounds; measuring is not counted.
    """

    run: Path
    problems: Path
    engines: Engines
    recipe: Recipe
    test: Path | None = None
    base: Path | None = None
    seed: int = 0
    rounds: int = 1
    start: Start | None = None
    patience: int = 0
    holdout: float = 0.05
    width: int = 256
    limit: int | None = None
    skip_bad: bool = False
    train: Training = Training()  # noqa: RUF009 (frozen)
    evaluate: Decoding = Decoding()  # noqa: RUF009 (frozen)
    budget: Budget = Budget()  # noqa: RUF009 (frozen)

    def __post_init__(self) -> None:
        for name in ("rounds", "width", "limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} should be at least 1, not {value}")
        if self.patience < 0 or not 0 < self.holdout < 1:
            raise UserError("patience should be at least 0, and holdout above 0 and below 1")

    @property
    def weights(self) -> Path:
        """Where training starts in the first round. Raises `UserError` if that is not known."""
        return self.base or model_folder(self.engines.policy)

    @property
    def starts(self) -> Start:
        """Where training starts in a round after the first."""
        return self.start or self.recipe.starts


class Watch(Protocol):
    """Whoever shows a run while it goes on."""

    def stage(self, title: str, progress: Progress) -> AbstractContextManager[None]:
        """Show `progress` while a stage is under way."""

    def training(self, step: int, steps: int, loss: float) -> None:
        """A training has come to `step` of `steps`; mean loss since the last call."""

    def wrote(self, path: Path, what: str) -> None:
        """A file is complete."""

    def say(self, line: str) -> None:
        """Something worth knowing."""


@dataclass(slots=True)
class Survey:
    """What a file of problems holds: ones to grow trees for, ones that are held out, and bad lines,
    of which the first is described."""

    problems: int = 0
    held: int = 0
    bad: int = 0
    first_bad: str = ""

    def skip(self, line: int, reason: str) -> None:
        self.bad += 1
        self.first_bad = self.first_bad or f"line {line}: {reason}"


def survey(run: Run) -> Survey:
    """Read the problems of a run once. Raises `UserError` if they cannot be used."""
    found = Survey()
    for problem in _read(run, found.skip):
        if _is_held_out(problem, run):
            found.held += 1
        else:
            found.problems += 1
    if run.patience and not (found.held and found.problems):
        raise UserError(
            f"holdout = {run.holdout} divides {found.held + found.problems:,} problems into "
            f"{found.problems:,} to learn from and {found.held:,} to watch; both need some"
        )
    return found


def problems_of(run: Run, on_skip: Callable[[int, str], None] | None = None) -> Iterator[Problem]:
    """The problems to grow trees for."""
    return (problem for problem in _read(run, on_skip) if not _is_held_out(problem, run))


def held_out(run: Run) -> Iterator[Problem]:
    """The problems that are watched instead."""
    return (problem for problem in _read(run, None) if _is_held_out(problem, run))


def _read(run: Run, on_skip: Callable[[int, str], None] | None) -> Iterator[Problem]:
    problems = read_problems(run.problems, skip_bad=run.skip_bad, on_skip=on_skip)
    return islice(problems, run.limit)


def _is_held_out(problem: Problem, run: Run) -> bool:
    """By the id alone, so that more problems or another seed let each stay on its side."""
    if not run.patience:
        return False
    lot = hashlib.blake2b(problem.id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(lot) < run.holdout * 2**64


@contextmanager
def opened(engines: Engines) -> Iterator[dict[str, Engine]]:
    """Engines by role, judges included; closed at the end."""
    with ExitStack() as stack:
        by_spec: dict[str, Engine] = {}
        by_role: dict[str, Engine] = {}
        for role, spec in engines.named().items():
            if spec not in by_spec:
                by_spec[spec] = open_engine(spec, processes=engines.processes)
                stack.callback(by_spec[spec].close)
            by_role[role] = by_spec[spec]
        judges = Judges()
        stack.callback(judges.close)
        yield {**by_role, "judge": judges}


@dataclass(frozen=True, slots=True)
class Ready:
    """What growing needs: what the file of problems holds, and the open engines by role."""

    found: Survey
    engines: Mapping[str, Engine]


@contextmanager
def ready(run: Run) -> Iterator[Ready]:
    """Raises `UserError` if the problems cannot be read or the engines not be opened."""
    found = survey(run)
    with opened(run.engines) as engines:
        yield Ready(found, engines)


def check(run: Run) -> Survey:
    """What `ready` finds, and nothing is kept open."""
    with ready(run) as prepared:
        return prepared.found


def grow(
    folder: RunFolder,
    run: Run,
    prepared: Ready,
    watch: Watch,
    *,
    last: Path | None = None,
    purse: Purse | None = None,
) -> Grown:
    """Grow the trees of `run.problems` into `folder`.

    last: the trees of the round before.
    purse: what earlier rounds have left of the budget; None if there were none.
    """
    found = prepared.found
    if found.bad:
        watch.say(f"passed over {found.bad:,} bad lines of {run.problems} ({found.first_bad})")
    progress = Progress(total=found.problems * len(run.recipe.arms()))
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(run.recipe).__name__).lower()
    plan = Plan(run.recipe, name, run.seed, run.width, purse or Purse(run.budget))
    with watch.stage("grow", progress):
        grown = stages.grow(
            folder,
            lambda: problems_of(run),
            plan,
            prepared.engines,
            last=last,
            progress=progress,
        )
    watch.wrote(folder.trees, f"{grown.trees:,} trees")
    return grown


def measure(
    engines: Engines, test: Path, setup: Setup, watch: Watch, *, out: Path, seed: int = 0
) -> list[Score]:
    """Attempt the problems of `test` with the policy of `engines`; scores sorted by id.

    They are kept in `out`, and every text beside it: see `Place`. The same call goes on after any
    interruption and asks nothing that was answered; if `out` is complete, it asks nothing at all.
    Raises `UserError` if `out` is of another model, other problems, another setup or seed.
    """
    ids = [problem.id for problem in read_problems(test)]
    place = Place(out)
    if place.begin(_identity(engines.policy, test, setup, seed)):
        return read_scores(place.scores)
    progress = Progress(total=len(ids))
    with ExitStack() as stack:
        by_role = stack.enter_context(opened(Engines(engines.policy, processes=engines.processes)))
        journal = stack.enter_context(Journal(place.journal))
        progress.meters = [Meter(engine) for engine in by_role.values()]
        asked = dict(zip(by_role, map(journal.wrap, progress.meters), strict=True))
        stack.enter_context(watch.stage("evaluate", progress))

        def attempted() -> Iterator[Record]:
            for record in evaluate(read_problems(test), asked, setup=setup, seed=seed):
                progress.failed += bool(record.error)
                progress.done += not record.error
                progress.recalled = journal.recalled
                yield record

        scores = keep(place.attempts, in_order(attempted(), ids))
    place.end(scores)
    return read_scores(place.scores)


def _identity(model: str, test: Path, setup: Setup, seed: int) -> dict[str, object]:
    """What an evaluation depends on, and about it what makes no difference."""
    both = seen(read_problems(test), trained_on(model))
    return {
        "model": model_content(model),
        "problems": content(test),
        "setup": asdict(setup),
        "prompt": asdict(TEMPLATES[setup.template].ask("QUESTION")),
        "seed": seed,
        "about": {
            "model": model,
            "problems": str(test),
            "trained_on": len(both),
            "whorl": __version__,
        },
    }


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


def iterate(folder: RunFolder, run: Run, watch: Watch) -> list[Round]:
    """Play the rounds of a run: each searches with the newest policy and trains the next one.

    Every round has a run folder of its own, `round-1` and so on. What a stage found is written
    last, so the same call skips stages that are complete and goes on in the one that is not.
    With `run.patience` it may end early. It then says why, and which model is the best; all of them
    are kept. Raises `Unfinished` where the budget ends first.
    """
    purse = Purse(run.budget)
    base = run.weights  # raises before anything is grown
    rounds: list[Round] = []
    _scores(folder, run, 0, watch)
    watched = [_watched(folder, run, 0, watch)]
    for number in range(1, run.rounds + 1):
        watch.say(f"round {number} of {run.rounds}: the policy is {run.engines.policy}")
        start = time.monotonic()
        with _round(folder, run, number) as inner:
            grown, harvested, variety = _explore(inner, run, watch, purse, _last(folder, number))
            trained = _learn(folder, run, number, base, watch)
            model = _with_folder(run.engines.policy, inner.path / "checkpoint")
            run = replace(run, seed=run.seed + 1, engines=replace(run.engines, policy=model))
            scores = _scores(folder, run, number, watch)
            watched.append(_watched(folder, run, number, watch))
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
        watch.say(_best([base, *(model_folder(played.model) for played in rounds)], values))
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
        see `findings.usable`.
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
        "usable": findings.usable(played.harvested.tally),
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
    return RunFolder.open(_place(folder, number), said, version=folder.version)


def _place(folder: RunFolder, number: int) -> Path:
    return folder.path / f"round-{number}"


def _last(folder: RunFolder, number: int) -> Path | None:
    """The trees of the round before."""
    return _place(folder, number - 1) / "trees.jsonl" if number > 1 else None


def _explore(
    folder: RunFolder, run: Run, watch: Watch, purse: Purse, last: Path | None
) -> tuple[Grown, Harvested, Variety]:
    """Grow and harvest in one round's folder. last: the trees of the round before."""

    def grow_now() -> Grown:
        with ready(run) as prepared:
            grown = grow(folder, run, prepared, watch, last=last, purse=purse)
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
        lambda: stages.harvest(folder.trees, run.recipe, folder.examples),
    )
    watch.wrote(folder.examples, f"{harvested.examples:,} examples")
    variety = _once(
        folder.path / "variety.json",
        Variety,
        lambda: findings.variety(read_trees(folder.trees)),
    )
    return grown, harvested, variety


def _learn(folder: RunFolder, run: Run, number: int, base: Path, watch: Watch) -> TrainResult:
    """Train the model of a round, from the newest one or from `base`."""
    from whorl.learn.train import train  # takes seconds, and growing does not need it

    first = run.starts == "first"
    rounds = range(1, number + 1) if first else (number,)
    files = [_place(folder, each) / "examples.jsonl" for each in rounds]
    checkpoint = _place(folder, number) / "checkpoint"
    trained = train(
        base if first or number == 1 else model_folder(run.engines.policy),
        stages.distinct(chain.from_iterable(map(read_examples, files))),
        checkpoint,
        settings=run.train,
        objective=run.recipe.objective,
        watch=watch,
    )
    watch.wrote(checkpoint, f"model after {trained.steps:,} steps, loss {trained.loss:.4f}")
    return trained


def _scores(folder: RunFolder, run: Run, number: int, watch: Watch) -> Sequence[Score]:
    """Scores on the test problems of the policy after round `number`; 0 is before the first."""
    if run.test is None:
        return ()
    return _measured(folder.path / f"scores-{number}.jsonl", run, run.test, run.evaluate, watch)


def _watched(folder: RunFolder, run: Run, number: int, watch: Watch) -> float | None:
    """Mean outcome on the held-out training problems of the policy after round `number`."""
    if not run.patience:
        return None
    problems = folder.path / "held-out.jsonl"
    if not problems.exists():
        write_problems(problems, held_out(run))
    decoding = replace(WATCHED, max_tokens=run.evaluate.max_tokens)
    path = folder.path / f"held-out-{number}.jsonl"
    return pass_rate(_measured(path, run, problems, decoding, watch), 1).value


def _measured(
    path: Path, run: Run, problems: Path, decoding: Decoding, watch: Watch
) -> Sequence[Score]:
    """Scores of the policy, measured now unless they are at `path`."""
    if not path.exists():
        setup = Setup(decoding=decoding)
        scores = measure(run.engines, problems, setup, watch, out=path, seed=run.seed)
        watch.wrote(path, f"scores of {len(scores):,} problems")
    return read_scores(path)


def model_folder(spec: str) -> Path:
    """The folder of a model that can be trained."""
    scheme, _, rest = spec.partition(":")
    if scheme not in ("local", "vllm"):
        raise UserError(
            "only a policy of the form local:FOLDER can be trained, not "
            + (
                f"{spec}; name the folder of its weights: base=FOLDER"
                if spec
                else "none: name one as engines.policy"
            )
        )
    return Path(rest.partition("?")[0])


def _with_folder(spec: str, folder: Path) -> str:
    """The engine that answers for `folder` as that of `spec` did for another one."""
    scheme, _, rest = spec.partition(":")
    query = rest.partition("?")[2]
    return (
        f"vllm:{folder}" + (f"?{query}" if query else "") if scheme == "vllm" else f"local:{folder}"
    )


def _once(path: Path, kind: type[T], work: Callable[[], T]) -> T:
    """What an earlier call wrote to `path`; else what `work` finds, written to `path`."""
    if path.exists():
        return kind(**json.loads(path.read_text()))
    found = work()
    with replacing(path) as file:
        file.write(json.dumps(asdict(found), indent=2).encode() + b"\n")  # type: ignore[call-overload]
    return found

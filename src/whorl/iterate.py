"""The loop: grow, harvest, train, evaluate, then again with the better model."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

from whorl import stages
from whorl.ask import Engine, Role
from whorl.data.atomic import replacing
from whorl.data.examples import read_examples
from whorl.data.problems import read_problems
from whorl.engines import open_engine
from whorl.engines.judge import Judges
from whorl.engines.meter import Meter
from whorl.errors import UserError
from whorl.evaluate import Decoding, Score, evaluate, pass_rate, read_scores, write_scores
from whorl.folder import RunFolder
from whorl.journal import Journal
from whorl.learn.training import Training, TrainResult
from whorl.problem import Problem
from whorl.recipe import Recipe
from whorl.stages import Grown, Harvested, Plan, Progress

T = TypeVar("T")


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
    rounds: times round the loop.
    width: searches in flight.
    limit: only the first so many problems.
    skip_bad: pass over bad lines of problems.
    """

    run: Path
    problems: Path
    engines: Engines
    recipe: Recipe
    test: Path | None = None
    seed: int = 0
    rounds: int = 1
    width: int = 256
    limit: int | None = None
    skip_bad: bool = False
    train: Training = Training()  # noqa: RUF009 (frozen)
    evaluate: Decoding = Decoding()  # noqa: RUF009 (frozen)

    def __post_init__(self) -> None:
        for name in ("rounds", "width", "limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} should be at least 1, not {value}")


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
    """What a file of problems holds: usable ones and bad lines, of which the first is described."""

    problems: int = 0
    bad: int = 0
    first_bad: str = ""

    def skip(self, line: int, reason: str) -> None:
        self.bad += 1
        self.first_bad = self.first_bad or f"line {line}: {reason}"


def survey(run: Run) -> Survey:
    """Read the problems of a run once. Raises `UserError` if they cannot be used."""
    found = Survey()
    for _ in problems_of(run, found.skip):
        found.problems += 1
    return found


def problems_of(run: Run, on_skip: Callable[[int, str], None] | None = None) -> Iterator[Problem]:
    """The problems to grow trees for."""
    problems = read_problems(run.problems, skip_bad=run.skip_bad, on_skip=on_skip)
    return islice(problems, run.limit)


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
    folder: RunFolder, run: Run, prepared: Ready, watch: Watch, *, last: Path | None = None
) -> Grown:
    """Grow the trees of `run.problems` into `folder`. last: the trees of the round before."""
    found = prepared.found
    if found.bad:
        watch.say(f"passed over {found.bad:,} bad lines of {run.problems} ({found.first_bad})")
    progress = Progress(total=found.problems * len(run.recipe.arms()))
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(run.recipe).__name__).lower()
    plan = Plan(run.recipe, name, run.seed, run.width)
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
    engines: Engines,
    test: Path,
    decoding: Decoding,
    watch: Watch,
    *,
    seed: int = 0,
    journal: Path | None = None,
) -> list[Score]:
    """Attempt the problems of `test` with the policy of `engines`; scores in their order.

    journal: file to keep replies in, for this model, test and decoding alone.
    """
    problems = [problem.id for problem in read_problems(test)]
    progress = Progress(total=len(problems))
    scores: dict[str, Score] = {}
    with ExitStack() as stack:
        by_role = stack.enter_context(opened(Engines(engines.policy, processes=engines.processes)))
        asked: dict[str, Engine] = {}
        kept = stack.enter_context(Journal(journal)) if journal else None
        for role, engine in by_role.items():
            meter = Meter(engine)
            progress.meters.append(meter)
            asked[role] = kept.wrap(meter) if kept else meter
        stack.enter_context(watch.stage("evaluate", progress))
        for score in evaluate(read_problems(test), asked, decoding=decoding, seed=seed):
            scores[score.id] = score
            progress.failed += bool(score.error)
            progress.done += not score.error
    return [scores[problem] for problem in problems]


@dataclass(frozen=True, slots=True)
class Round:
    """What one round did.

    model: the policy it ended with.
    scores: of that policy, empty if nothing was measured.
    """

    number: int
    grown: Grown
    harvested: Harvested
    trained: TrainResult
    model: str
    scores: Sequence[Score]


def iterate(folder: RunFolder, run: Run, watch: Watch) -> list[Round]:
    """Play the rounds of a run, each with the model that the one before trained.

    Every round has a run folder of its own, `round-1` and so on. What a stage found is written
    last, so the same call skips stages that are complete and goes on in the one that is not.
    """
    rounds: list[Round] = []
    last: Path | None = None
    _scores(folder, run, 0, watch)
    for number in range(1, run.rounds + 1):
        watch.say(f"round {number} of {run.rounds}: the policy is {run.engines.policy}")
        with _round(folder, run, number) as inner:
            grown, harvested, trained = _play(inner, run, watch, last)
            last = inner.trees
        model = f"local:{inner.path / 'checkpoint'}"
        run = replace(run, seed=run.seed + 1, engines=replace(run.engines, policy=model))
        scores = _scores(folder, run, number, watch)
        rounds.append(Round(number, grown, harvested, trained, model, scores))
        with replacing(folder.metrics) as file:
            for played in rounds:
                file.write(json.dumps(metrics(played)).encode() + b"\n")
    return rounds


def metrics(played: Round) -> dict[str, object]:
    """A round's line in `metrics.jsonl`."""
    line = {
        "round": played.number,
        "trees": played.grown.trees,
        "failed": len(played.grown.failures),
        "generated_tokens": sum(played.harvested.cost.values()),
        "examples": played.harvested.examples,
        "loss": played.trained.loss,
        "model": played.model,
    }
    return line | ({"accuracy": pass_rate(played.scores, 1).value} if played.scores else {})


def _round(folder: RunFolder, run: Run, number: int) -> RunFolder:
    """The folder of a round. Its settings are what its trees depend on, as for `whorl grow`."""
    said = {name: folder.settings[name] for name in ("recipe", "problems", "engines")}
    said["seed"] = run.seed
    if number > 1:
        said["engines"] = {**said["engines"], "policy": run.engines.policy}
    return RunFolder.open(folder.path / f"round-{number}", said, version=folder.version)


def _play(
    folder: RunFolder, run: Run, watch: Watch, last: Path | None
) -> tuple[Grown, Harvested, TrainResult]:
    """Grow, harvest and train in one round's folder. last: the trees of the round before."""
    from whorl.learn.train import train  # takes seconds, and growing does not need it

    def grow_now() -> Grown:
        with ready(run) as prepared:
            return grow(folder, run, prepared, watch, last=last)

    grown = _once(folder.path / "grown.json", Grown, grow_now)
    harvested = _once(
        folder.path / "harvested.json",
        Harvested,
        lambda: stages.harvest(folder.trees, run.recipe, folder.examples),
    )
    watch.wrote(folder.examples, f"{harvested.examples:,} examples")
    checkpoint = folder.path / "checkpoint"
    trained = train(
        model_folder(run.engines.policy),
        read_examples(folder.examples),
        checkpoint,
        settings=run.train,
        objective=run.recipe.objective,
        watch=watch,
    )
    watch.wrote(checkpoint, f"model after {trained.steps:,} steps, loss {trained.loss:.4f}")
    return grown, harvested, trained


def _scores(folder: RunFolder, run: Run, number: int, watch: Watch) -> Sequence[Score]:
    """Scores of the policy after round `number`; 0 is before the first."""
    if run.test is None:
        return ()
    path = folder.path / f"scores-{number}.jsonl"
    if path.exists():
        return read_scores(path)
    journal = folder.path / f"scores-{number}.db"
    scores = measure(run.engines, run.test, run.evaluate, watch, seed=run.seed, journal=journal)
    write_scores(path, scores)
    watch.wrote(path, f"scores of {len(scores):,} problems after {number} rounds")
    return read_scores(path)


def model_folder(spec: str) -> Path:
    """The folder of a model that can be trained."""
    scheme, _, path = spec.partition(":")
    if scheme != "local":
        raise UserError(f"only a policy of the form local:FOLDER can be trained, not {spec}")
    return Path(path)


def _once(path: Path, kind: type[T], work: Callable[[], T]) -> T:
    """What an earlier call wrote to `path`; else what `work` finds, written to `path`."""
    if path.exists():
        return kind(**json.loads(path.read_text()))
    found = work()
    with replacing(path) as file:
        file.write(json.dumps(asdict(found), indent=2).encode() + b"\n")  # type: ignore[call-overload]
    return found

"""The loop: grow, harvest, train, evaluate, then again with the better model."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from whorl.budget import Budget
from whorl.budget.purse import Purse
from whorl.data.atomic import replacing
from whorl.data.examples import read_examples
from whorl.data.forest import read_keys
from whorl.data.problems import write_problems
from whorl.data.rounds import rounds_of
from whorl.data.rows import count_lines
from whorl.data.taught import write_prompt
from whorl.engines.journal import Journal
from whorl.engines.roles import Crews, Engines, trainable
from whorl.engines.spec import Spec
from whorl.evaluate import Decoding, Place, Score, Setup, pass_rate, read_scores
from whorl.evaluate.exam import Exam, measure, tell_failed
from whorl.learn.training import TrainResult
from whorl.loop.folder import RunFolder
from whorl.loop.grow import Grown, GrowPlan, Ready, grow
from whorl.loop.harvest import Harvested, distinct_examples, harvest
from whorl.loop.metrics import Round, best_model, metrics, stopped_rising
from whorl.loop.plan import RoundPlan, plan_of
from whorl.loop.run import Run
from whorl.loop.shards import refuse_parts
from whorl.loop.split import held_out, problems_of, tell_bad
from whorl.loop.took import Took
from whorl.recipe import words_of
from whorl.watch import Watch
from whorl.watch.events import NAME as EVENTS

T = TypeVar("T")

WATCHED = Decoding(n=8, temperature=0.8, top_p=0.95)
"""How held-out training problems are attempted: as MARGE samples the completions of a state, so
that the share of right ones is the value of the question (docs/papers.md, "Rounds"). That costs no
more than 8 solutions for every twentieth problem."""


def watching(run: Run) -> Setup:
    """The setup in which the held-out problems of a run are attempted."""
    return replace(run.setup, decoding=replace(WATCHED, max_tokens=run.evaluate.max_tokens))


class Unfinished(Exception):
    """Raised when a round has not grown the trees in `folder` that are to be learned from: the
    budget ended first, or too many searches failed; `grown` counts them."""

    def __init__(self, folder: Path, grown: Grown) -> None:
        failed = f"{len(grown.failures):,} searches failed"
        super().__init__(f"the budget is spent: {grown.limit}" if grown.missing else failed)
        self.folder = folder
        self.grown = grown


def play_rounds(folder: RunFolder, run: Run, prepared: Ready, watch: Watch) -> list[Round]:
    """Play the rounds of a run: each searches and trains the next model, which is the next round's
    policy unless the run has a student of its own.

    Every round has a run folder of its own, `round-1` and so on. What a stage found is written
    last, so the same call skips stages that are complete and goes on in the one that is not.
    It ends early after a round, the first aside, that finds nothing to learn from, and with
    `run.patience` where there is no rise; it then says why, and which model is the best. All of
    them are kept. Raises `Unfinished` where the budget ends first, or more searches of a round fail
    than `run.may_fail` says: whatever made them fail would decide what is learned.
    """
    base = run.weights  # raises before anything is grown
    tell_bad(prepared.found, run, watch)
    _tell_played(run, prepared.found.problems, watch)
    purse = purse_of(run)
    rounds: list[Round] = []
    _scores(run, plan_of(run, 1), prepared.opened, watch)
    watched = [_watched(run, plan_of(run, 1), prepared.opened, watch)]
    for number in range(1, run.rounds + 1):
        plan = plan_of(run, number)
        watch.round(number, run.rounds, plan.engines.policy)
        if plan.engines.student:
            watch.say(f"the student is {plan.engines.student}")
        with open_round(folder, plan) as inner:
            played = _play(inner, run, plan, prepared, purse, watch)
        if played is None:
            watch.say(f"stopped: round {number} found nothing to learn from")
            break
        rounds.append(played)
        watched.append(played.watched)
        if number >= count_lines(folder.metrics):  # a resumed run passes its rounds again
            with replacing(folder.metrics) as file:
                for each in rounds:
                    file.write(json.dumps(metrics(each)).encode() + b"\n")
        values = [value for value in watched if value is not None]
        if stopped_rising(values, run.patience):
            watch.say(f"stopped: no rise in {run.patience} rounds on the held-out problems")
            break
    if run.patience:
        watch.say(best_model([base, *(trainable(played.model) for played in rounds)], values))
    return rounds


def _tell_played(run: Run, count: int, watch: Watch) -> None:
    """Tell which rounds are complete with another number of problems than `count`, as after a
    change of the limit: what was learned from them stays as it is."""
    other: list[str] = []
    for number in range(1, run.rounds + 1):
        record = plan_of(run, number).folder / "grown.json"
        grown = Grown(**json.loads(record.read_text())) if record.exists() else None
        if grown and grown.problems not in (0, count):
            was = "with" if other else "was played with"
            other.append(f"round {number} {was} {grown.problems:,}")
    if other:
        watch.say(
            f"there are {count:,} problems now, but {', '.join(other)}, and what is played stays "
            f"as it is; to learn from {count:,}, play in another folder: --set run=FOLDER"
        )


def purse_of(run: Run) -> Purse:
    """The budget of a run, less the spending that journals of its rounds have on record."""
    purse = Purse(run.budget, samples_at_most=run.recipe.samples_at_most)
    if run.budget != Budget():  # opening a journal takes a while
        for path in (folder / "journal.db" for folder in rounds_of(run.folder)):
            if not path.exists():
                continue
            with Journal(path) as journal:
                file = path.with_name("trees.jsonl")
                trees = sum(1 for _ in read_keys(file)) if file.exists() else 0
                purse.count(path, journal.usage(), trees)
    return purse


def open_round(folder: RunFolder, plan: RoundPlan) -> RunFolder:
    """Open the folder of a round, bound to the settings that its trees depend on, as for `whorl
    grow`. Raises `UserError` if it has shards that are not merged."""
    refuse_parts(plan.folder, folder.path)
    return RunFolder.open(plan.folder, round_settings(folder, plan), version=folder.version)


def round_settings(folder: RunFolder, plan: RoundPlan) -> dict[str, Any]:
    """The settings that the trees of a round depend on. folder: of the run."""
    names = ("recipe", "problems", "engines", "budget")
    said = {name: folder.settings[name] for name in names if name in folder.settings}
    said["seed"] = plan.seed
    if plan.number > 1 and not plan.engines.student:  # which learns in the policy's place
        policy = str(Spec.read(plan.engines.policy).seen_from(folder.path))
        said["engines"] = {**said["engines"], "policy": policy}
    return said


def grow_round(
    inner: RunFolder, run: Run, plan: RoundPlan, prepared: Ready, purse: Purse, watch: Watch
) -> Grown:
    """Grow the trees that a round lacks into `inner`, its folder, with its policy and seed."""
    prepared.opened.follow(plan.engines)
    return grow(
        inner,
        problems_of(run, plan.number),
        replace(GrowPlan.of(run), seed=plan.seed, purse=purse, last=plan.last),
        prepared.opened.crew(),
        watch=watch,
        expected=prepared.found.problems,
    )


def _play(
    inner: RunFolder, run: Run, plan: RoundPlan, prepared: Ready, purse: Purse, watch: Watch
) -> Round | None:
    """Play one round, from its trees to the scores of the model that it ends with; None where a
    later round adds no example to those of before."""
    took = Took(inner.path, run.folder / EVENTS)

    def grow_now() -> Grown:
        grown = grow_round(inner, run, plan, prepared, purse, watch)
        failed = len(grown.failures)
        if grown.missing or failed > run.may_fail * (grown.trees + failed):
            raise Unfinished(inner.path, grown)
        return grown

    grown = _once(inner.path / "grown.json", Grown, grow_now)
    harvested = Harvested.read(inner.path)
    if harvested is None:
        harvested = harvest(
            inner.trees, run.recipe, inner.examples, setup=run.setup, how=run.harvest
        )
        harvested.write(inner.path)
    watch.wrote(inner.examples, f"{harvested.examples:,} examples")
    for remark in harvested.remarks:
        watch.say(remark)
    if plan.number > 1 and not harvested.examples:
        return None
    trained = _learn(run, plan, prepared.opened, watch)
    after = plan_of(run, plan.number + 1)
    return Round(
        plan.number,
        grown,
        harvested,
        trained,
        after.engines.learner,
        _scores(run, after, prepared.opened, watch),
        _watched(run, after, prepared.opened, watch),
        took.finish(),
        run.evaluate.n,
    )


def _learn(run: Run, plan: RoundPlan, opened: Crews, watch: Watch) -> TrainResult:
    """Train the model of a round, from the newest one or from the first."""
    from whorl.learn.moments import MOMENTS
    from whorl.learn.train import train  # takes seconds, and growing does not need it

    first = run.starts == "first"
    rounds = range(1, plan.number + 1) if first else (plan.number,)
    files = [plan_of(run, number).folder / "examples.jsonl" for number in rounds]
    checkpoint = plan.folder / "checkpoint"
    if not checkpoint.exists():
        opened.rest()
    trained = train(
        run.weights if first or plan.number == 1 else trainable(plan.engines.learner),
        distinct_examples(chain.from_iterable(map(read_examples, files)), run.recipe.objective),
        checkpoint,
        settings=run.train,
        objective=run.recipe.objective,
        watch=watch,
    )
    write_prompt(checkpoint, words_of(run.recipe), run.asked)
    if run.train.carry and plan.number > 1:  # as large as two models, and of no more use
        (trainable(plan.engines.learner) / MOMENTS).unlink(missing_ok=True)
    watch.wrote(checkpoint, f"model after {trained.steps:,} steps, loss {trained.loss:.4f}")
    return trained


def _scores(run: Run, plan: RoundPlan, opened: Crews, watch: Watch) -> Sequence[Score]:
    """Scores of the model that the round of `plan` trains, before it, on the test problems."""
    if run.test is None:
        return ()
    path = run.folder / f"scores-{plan.number - 1}.jsonl"
    return _measured(path, Exam(run.test, run.setup, plan.seed), plan.engines, opened, watch)


def _watched(run: Run, plan: RoundPlan, opened: Crews, watch: Watch) -> float | None:
    """Mean outcome of the model that the round of `plan` trains, before it, on the held-out
    training problems."""
    if not run.patience:
        return None
    problems = run.folder / "held-out.jsonl"
    if not problems.exists():
        write_problems(problems, held_out(run))
    exam = Exam(problems, watching(run), plan.seed)
    path = run.folder / f"held-out-{plan.number - 1}.jsonl"
    return pass_rate(_measured(path, exam, plan.engines, opened, watch), 1).value


def _measured(
    path: Path, exam: Exam, engines: Engines, opened: Crews, watch: Watch
) -> Sequence[Score]:
    """Scores of the model that learns by `engines`, measured unless they are at `path` already, of
    all problems: those that could not be attempted are tried again."""
    if Place(path).complete:
        return read_scores(path)
    opened.follow(engines.measured())
    scores = measure(opened, exam, watch, out=path)
    watch.wrote(path, f"scores of {len(scores):,} problems")
    tell_failed(scores, watch)
    return scores


def _once(path: Path, kind: type[T], work: Callable[[], T]) -> T:
    """The value that an earlier call wrote to `path`; otherwise `work` is done and its value
    written."""
    if path.exists():
        return kind(**json.loads(path.read_text()))
    found = work()
    with replacing(path) as file:
        file.write(json.dumps(asdict(found), indent=2).encode() + b"\n")  # type: ignore[call-overload]
    return found

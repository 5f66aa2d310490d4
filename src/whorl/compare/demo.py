"""The main job on the shipped models: SIGMA and its baselines, from problems to a report.

Every method learns from the same number of examples about the same problems and is measured on the
same held-out problems. Everything is kept in one folder, so a demo that was interrupted goes on.
"""

import multiprocessing
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from random import Random

from whorl import __version__
from whorl.data.examples import read_examples, write_examples
from whorl.data.forest import read_trees
from whorl.data.problems import write_problems
from whorl.data.synthetic import problems
from whorl.engines.roles import Engines, Opened
from whorl.evaluate import (
    Decoding,
    Paired,
    Score,
    Setup,
    paired,
    read_scores,
    summarise,
)
from whorl.evaluate.exam import Exam, measure
from whorl.learn.training import Training, TrainResult
from whorl.loop.folder import RunFolder
from whorl.loop.grow import Plan, grow, ready
from whorl.loop.harvest import Harvested, harvest
from whorl.loop.run import Run
from whorl.loop.split import problems_of
from whorl.models import POLICY, TEACHER
from whorl.recipe import Recipe
from whorl.recipes.rft import Rft
from whorl.recipes.sigma import Sigma, attempts
from whorl.report import Figure, Report, Row, Table, write_report
from whorl.report.rows import cells, figures, levels, reference, row
from whorl.search import Sampling, Uct
from whorl.steps import BlankLine
from whorl.tree import Tree
from whorl.watch import Watch

STEPS = BlankLine(min_chars=0)  # a step of the tiny models may be as short as "3*4=12."
SAMPLING = Sampling(step_tokens=48, solution_tokens=256, steps=STEPS)
GREEDY = Decoding(max_tokens=256)
TRAINING = Training(epochs=3, lr=1e-3, batch=32, max_length=1024, warmup=0.05)


@dataclass(frozen=True, slots=True)
class Size:
    """How much the demo does: training problems and held-out ones."""

    problems: int
    test: int


FULL = Size(problems=800, test=1000)
SMOKE = Size(problems=40, test=100)


@dataclass(frozen=True, slots=True)
class Method:
    """A way to make examples: how trees are grown, and how they are harvested.

    forest: the folder of its trees; methods with the same one share them.
    """

    name: str
    forest: str
    grow: Recipe
    harvest: Recipe
    note: str = ""


SIGMA = Sigma(
    uct=Uct(simulations=8),
    sampling=SAMPLING,
    critic_tokens=128,
    reviser_tokens=64,
)
RFT = Rft(replace(SAMPLING, temperature=1.0), samples=8)
BLACK_BOX = Rft(replace(SAMPLING, temperature=0.7), samples=2, keep=2, role="reviser")

METHODS = (
    Method("SIGMA", "sigma", SIGMA, SIGMA),
    Method(
        "unrefined paths",
        "sigma",
        SIGMA,
        replace(SIGMA, take="unrefined"),
        "the same trees without critique and revision",
    ),
    Method("RFT", "rft", RFT, RFT, "right ones of 8 whole solutions by the policy"),
    Method("teacher solves", "black-box", BLACK_BOX, BLACK_BOX, "black box: its own solutions"),
)


@dataclass(frozen=True, slots=True)
class Result:
    """One method's student, against the policy it started from."""

    method: Method
    harvested: Harvested
    examples: int
    scores: Sequence[Score]
    against: Paired


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the demo found."""

    base: Sequence[Score]
    results: Sequence[Result]
    seconds: float
    report: Path

    @property
    def tokens(self) -> int:
        """Tokens sampled to grow all the trees, discarded branches and the teacher's included."""
        forests = {r.method.forest: r.harvested.cost for r in self.results}
        return sum(sum(cost.values()) for cost in forests.values())


def run_demo(folder: Path, size: Size, watch: Watch, *, seed: int = 0) -> Outcome:
    """Play the demo in `folder`, or go on with the one there; writes `report.html` at its end."""
    start = time.monotonic()
    settings = {"demo": asdict(size), "seed": seed}
    with RunFolder.open(folder, settings, version=__version__):
        train, test = folder / "problems.jsonl", folder / "test.jsonl"
        write_problems(train, problems("pool", size.problems, seed=seed))
        write_problems(test, problems("test", size.test, seed=1))
        base = _scores(POLICY, test, folder / "scores-policy.jsonl", watch)
        for method in {method.forest: method for method in METHODS}.values():
            _grow(folder / method.forest, train, method, watch, seed)
        crops = {method.name: _harvest(folder, method) for method in METHODS}
        count = min(crop.examples for crop in crops.values())
        students = _train(folder, count, watch, seed)
        results = []
        for method in METHODS:
            name = _file(method)
            scores = _scores(students[method.name], test, folder / f"scores-{name}.jsonl", watch)
            against = paired(base, scores)
            results.append(Result(method, crops[method.name], count, scores, against))
        outcome = Outcome(base, results, time.monotonic() - start, folder / "report.html")
        trees = list(_telling(folder / SIGMA_FOREST / "trees.jsonl"))
        write_report(outcome.report, describe(outcome, trees, size))
        watch.wrote(outcome.report, "report")
    return outcome


SIGMA_FOREST = METHODS[0].forest


def _grow(folder: Path, train: Path, method: Method, watch: Watch, seed: int) -> None:
    """Grow a method's trees into a run folder of their own, unless they are there already."""
    if (folder / "failures.jsonl").exists():  # what growing writes last
        return
    models = {"policy": POLICY, "critic": TEACHER, "reviser": TEACHER}
    policy, critic, reviser = (
        f"local:{model}" if role in method.grow.roles else "" for role, model in models.items()
    )
    engines = Engines(policy, critic, reviser, processes=_cores())
    run = Run(folder, train, engines, method.grow, seed=seed)
    watch.say(f"{method.forest}: growing trees")
    settings = {"method": method.name, "seed": seed}
    with (
        ready(run) as prepared,
        RunFolder.open(folder, settings, version=__version__) as own,
    ):
        grow(
            own,
            problems_of(run),
            Plan.of(run),
            prepared.engines,
            watch=watch,
            expected=prepared.found.problems,
        )


def _harvest(folder: Path, method: Method) -> Harvested:
    trees = folder / method.forest / "trees.jsonl"
    return harvest(trees, method.harvest, folder / f"examples-{_file(method)}.jsonl")


def _train(folder: Path, count: int, watch: Watch, seed: int) -> Mapping[str, Path]:
    """Fine-tune a student per method on `count` examples each, two at a time; their folders."""
    jobs = {}
    for method in METHODS:
        found = list(read_examples(folder / f"examples-{_file(method)}.jsonl"))
        chosen = sorted(Random(seed).sample(range(len(found)), count))
        examples = folder / f"train-{_file(method)}.jsonl"
        write_examples(examples, (found[i] for i in chosen))
        jobs[method.name] = examples, folder / f"student-{_file(method)}"
    watch.say(f"train: {len(jobs)} students on {count:,} examples each")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn) as pool:
        running = {name: pool.submit(_fit, *job, seed) for name, job in jobs.items()}
        for name, future in running.items():
            trained = future.result()
            watch.wrote(jobs[name][1], f"{name}: {trained.steps} steps, loss {trained.loss:.3f}")
    return {name: student for name, (_, student) in jobs.items()}


def _fit(examples: Path, student: Path, seed: int) -> TrainResult:
    """In a process of its own, with a thread of its own."""
    import torch

    from whorl.learn.train import train

    torch.set_num_threads(1)
    return train(POLICY, read_examples(examples), student, settings=replace(TRAINING, seed=seed))


def _scores(model: Path, test: Path, out: Path, watch: Watch) -> Sequence[Score]:
    """Greedy attempts at the held-out problems; kept in `out`, which is read if it is there."""
    if out.exists():
        return read_scores(out)
    engines = Engines(f"local:{model}", processes=_cores())
    with Opened(engines) as opened:
        scores = measure(opened, Exam(test, Setup(decoding=GREEDY)), watch, out=out)
    watch.wrote(out, f"scores of {model.name}")
    return scores


def _cores() -> int:
    """The models are small enough for every core to have its own."""
    return len(os.sched_getaffinity(0))


def _file(method: Method) -> str:
    return "".join(c if c.isalnum() else "-" for c in method.name.lower()).replace("--", "-")


def _telling(path: Path, most: int = 12) -> list[Tree]:
    """Trees worth looking at: first those that revision turned right, then a few others."""
    trees = list(islice(read_trees(path), 400))
    turned = [t for t in trees if attempts(t) and t.tip in attempts(t) and _wrong_before(t)]
    others = [t for t in trees if t not in turned and attempts(t)]
    return (turned[: most * 2 // 3] + others)[:most]


def _wrong_before(tree: Tree) -> bool:
    return any("wrong to" in name for name in SIGMA.tally(tree))


def describe(outcome: Outcome, trees: Sequence[Tree], size: Size) -> Report:
    """The outcome as a page."""
    first = outcome.results[0]
    base = summarise(outcome.base)
    tuned = summarise(first.scores)
    change = first.against.difference
    return Report(
        title="whorl demo: SIGMA on the shipped models",
        lead=(
            f"Fine-tuned on {first.examples:,} refined solutions, the policy went from "
            f"{100 * base.passed[1].value:.1f} % to {100 * tuned.passed[1].value:.1f} % on "
            f"{base.problems:,} held-out problems ({100 * change.value:+.1f} points, 95 % "
            f"interval {100 * change.low:+.1f} to {100 * change.high:+.1f}, "
            f"p = {first.against.p_value:.2g})."
        ),
        figures=(
            Figure("training problems", size.problems, "answers only, no solutions"),
            Figure("held-out problems", base.problems, "disjoint by arithmetic, not by wording"),
            Figure("examples per method", first.examples),
            Figure("generated tokens", outcome.tokens, "all trees, discarded branches included"),
            Figure("seconds", round(outcome.seconds), "of this call; set-up is not in it"),
        ),
        rows=(
            reference("policy", outcome.base),
            *(_row(outcome.base, result) for result in outcome.results),
        ),
        remarks=(
            "The teacher that criticises and revises has seen more training than the policy, "
            "worked solutions and critiques of the same families among it.",
            "The problems are made from templates and the models are tiny: the figures show that "
            "the machinery works, not what it does for a large model.",
            "Greedy decoding; a solution counts if its final answer is right.",
        ),
        levels=tuple(levels(outcome.base, first.scores)),
        cells=cells(first.harvested.tally),
        counters=tuple(
            Table(f"{title}, {result.method.name}", figures(dict(sorted(counts.items()))))
            for result in outcome.results
            for title, counts in _counts(result)
            if counts
        ),
        trees=tuple(trees),
        settings=(
            _settings("SIGMA", SIGMA),
            _settings("search", SIGMA.uct),
            _settings("fine-tuning", TRAINING),
        ),
    )


def _counts(result: Result) -> Iterator[tuple[str, Mapping[str, int]]]:
    """A method's counters; what it shares with the method that grew its trees is shown there."""
    if result.method.grow is result.method.harvest:
        yield "Counted", result.harvested.tally
        yield "Tokens", {role: count for role, count in result.harvested.cost.items() if count}
    yield "Left out of the examples", result.harvested.dropped


def as_mapping(outcome: Outcome) -> dict[str, object]:
    """The outcome as JSON can hold it."""
    first = outcome.results[0]
    return {
        "base_accuracy": summarise(outcome.base).passed[1].value,
        "tuned_accuracy": summarise(first.scores).passed[1].value,
        "p_value": first.against.p_value,
        "problems": first.against.problems,
        "generated_tokens": outcome.tokens,
        "seconds": round(outcome.seconds, 1),
        "report": str(outcome.report),
        "methods": [
            {
                "name": result.method.name,
                "accuracy": summarise(result.scores).passed[1].value,
                "examples": result.examples,
                "generated_tokens": sum(result.harvested.cost.values()),
                "against_policy": asdict(result.against),
                "against_first": asdict(paired(first.scores, result.scores)),
            }
            for result in outcome.results
        ],
    }


def _row(base: Sequence[Score], result: Result) -> Row:
    return replace(
        row(result.method.name, base, result.scores),
        examples=result.examples,
        tokens=sum(result.harvested.cost.values()),
        note=result.method.note,
    )


def _settings(title: str, settings: object) -> Table:
    shown = {key: value for key, value in asdict(settings).items() if not isinstance(value, dict)}  # type: ignore[call-overload]
    return Table(title, tuple(Figure(key, str(value)) for key, value in shown.items()))

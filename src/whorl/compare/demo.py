"""The demo: SIGMA and its baselines on the shipped models, from problems to students.

A comparison at equal examples: every method learns from the same number of them, about the same
problems, and its student is measured on the same held-out problems. Everything is kept in one
folder, so a demo that was interrupted goes on.
"""

import os
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

from whorl import __version__
from whorl.compare.clock import Clock
from whorl.compare.findings import (
    Findings,
    MethodResult,
    Point,
    has_student,
    read_both_scores,
    read_student,
    write_point,
)
from whorl.compare.jobs import one_thread, side_by_side
from whorl.compare.methods import Method
from whorl.compare.spoken import Spoken
from whorl.compare.students import draw_examples, examine, train_student
from whorl.data import synthetic
from whorl.data.problems import write_problems
from whorl.engines.repair import mended
from whorl.engines.roles import Engines, Opened, following
from whorl.evaluate import Setup
from whorl.evaluate.exam import Exam
from whorl.loop.folder import RunFolder
from whorl.loop.grow import GrowPlan, grow, ready
from whorl.loop.harvest import Harvested, harvest
from whorl.loop.run import Run
from whorl.loop.split import problems_of
from whorl.models import POLICY, TEACHER
from whorl.recipes.distill import Distill
from whorl.recipes.rft import Rft
from whorl.recipes.sigma import Sigma
from whorl.settings.presets import PRESETS
from whorl.watch import Watch
from whorl.watch.events import recorded

_LARGER = f"local:{TEACHER}"
MODELS: dict[str, Any] = {
    "policy": f"local:{POLICY}",
    **dict.fromkeys(("critic", "reviser", "teacher"), _LARGER),
}


@dataclass(frozen=True, slots=True)
class Size:
    """Size of the demo: numbers of training problems and of held-out ones."""

    problems: int
    test: int


FULL = Size(problems=800, test=1000)
SMOKE = Size(problems=40, test=100)


_PRESET, _RFT, _DISTILL = (PRESETS[kind]["tiny"] for kind in (Sigma, Rft, Distill))
SIGMA = cast(Sigma, _PRESET.recipe)
_TEACHER = replace(cast(Distill, _DISTILL.recipe), samples=2, keep=2)

METHODS = (
    Method("SIGMA", "sigma", SIGMA, SIGMA, _PRESET.train),
    Method("unrefined paths", "sigma", SIGMA, replace(SIGMA, take="unrefined"), _PRESET.train),
    Method("RFT", "rft", _RFT.recipe, _RFT.recipe, _RFT.train),
    Method("teacher solves", "distill", _TEACHER, _TEACHER, _DISTILL.train),
)


def play_demo(
    folder: Path, size: Size, watch: Watch, *, seed: int = 0, repair: bool = False
) -> Findings:
    """Play the demo in `folder`, or go on with the one there. repair: its damaged journals, once
    the folder is known to be a demo's, which nobody else plays."""
    with (
        RunFolder.open(folder, {"demo": asdict(size), "seed": seed}, version=__version__) as own,
        recorded(watch, own.events, {}) as watch,
    ):
        for line in mended(folder.rglob("*journal.db")) if repair else ():
            watch.say(line)
        train, test = folder / "problems.jsonl", folder / "test.jsonl"
        write_problems(train, synthetic.problems("pool", size.problems, seed=seed))
        write_problems(test, synthetic.problems("test", size.test, seed=1))
        base = folder / "base"
        base.mkdir(exist_ok=True)
        with Opened(Engines(**MODELS, processes=_cores())) as opened:
            examine(base, _exams(test), opened, watch)
            for method in {method.forest: method for method in METHODS}.values():
                _grow(folder / method.forest, train, method, opened, watch, seed)
        crops = {method: _harvest(folder, method) for method in METHODS}
        count = min(crop.examples for crop in crops.values())
        jobs = [
            _Student(_home(folder, method), method, test, crop, count, seed)
            for method, crop in crops.items()
        ]
        lacking = [job for job in jobs if not has_student(job.home)]
        if lacking:
            watch.say(f"train: {len(lacking)} students on {count:,} examples each")
        side_by_side(lacking, _cores(), watch)
        results = [MethodResult(job.method, seed, [read_student(job.home)]) for job in jobs]
        return Findings(read_both_scores(base), results)


def sampled_tokens(findings: Findings) -> int:
    """Tokens sampled to grow all trees, with discarded branches and the teacher's; a forest that
    methods share counts once."""
    return sum({r.method.forest: r.last.point.tokens for r in findings.results}.values())


def _grow(
    folder: Path, train: Path, method: Method, opened: Opened, watch: Watch, seed: int
) -> None:
    """Grow a method's trees into a run folder, unless they are there already. opened: the engines
    of all methods, which stay from one to the next."""
    if (folder / "failures.jsonl").exists():  # what growing writes last
        return
    run = Run(folder, train, opened.engines, method.grow, seed=seed)
    watch.say(f"{method.forest}: growing trees")
    settings = {"method": method.name, "seed": seed}
    with (
        ready(run, lambda engines: nullcontext(opened)) as prepared,
        RunFolder.open(folder, settings, version=__version__) as own,
    ):
        grow(
            own,
            problems_of(run),
            GrowPlan.of(run),
            prepared.crew,
            watch=watch,
            expected=prepared.found.problems,
        )


def _harvest(folder: Path, method: Method) -> Harvested:
    home = _home(folder, method)
    home.mkdir(parents=True, exist_ok=True)
    return harvest(folder / method.forest / "trees.jsonl", method.harvest, home / "examples.jsonl")


def _home(folder: Path, method: Method) -> Path:
    """The folder of a method's student."""
    return folder / "students" / method.name.lower().replace(" ", "-")


def _exams(test: Path) -> Mapping[str, Exam]:
    return {"greedy": Exam(test, Setup(decoding=_PRESET.evaluate))}


def _cores() -> int:
    """Number of models that run side by side: they are small enough for one core each."""
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True, slots=True)
class _Student:
    """A job: train a method's student on `count` of the harvested examples, and measure it."""

    home: Path
    method: Method
    test: Path
    harvested: Harvested
    count: int
    seed: int

    @property
    def name(self) -> str:
        return self.method.name

    @property
    def thriftier(self) -> str:
        """None: the demo has one size for all machines."""
        return ""

    def run(self, watch: Watch) -> None:
        one_thread()
        policy, told, crop = MODELS["policy"], Spoken(watch, self.name), self.harvested
        learned = self.home / "learned.jsonl"
        with Clock(self.home / "begun.json") as clock:
            draw_examples(self.home / "examples.jsonl", learned, self.count, self.seed)
            trained = train_student(self.home, learned, policy, self.method, self.seed, told)
            with Opened(Engines(following(policy, trained.model), processes=0)) as opened:
                clock.complete = examine(self.home, _exams(self.test), opened, told)
            watch.wrote(self.home, f"{self.name}: trained and measured")
            wall, cpu = clock.read()
            point = Point(
                tokens=sum(crop.cost.values()),
                left_out=0,
                problems=crop.trees,
                passes=1,
                trees=crop.trees,
                failed=0,
                cost=crop.cost,
                examples=trained.examples,
                trained_tokens=trained.tokens,
                dropped=crop.dropped,
                tally=crop.tally,
                wall=wall,
                cpu=cpu,
            )
            write_point(self.home, point)

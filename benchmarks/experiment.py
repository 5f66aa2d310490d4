"""Run files side by side: grown for the same problems, learned from, measured on the same tests.

    python benchmarks/experiment.py runs/critics.toml

An experiment is a file that names its arms, each a run file and what is changed in it:

    run = "runs/critics"        # folder to write
    seeds = 3                   # other samples, another order of training; default 3
    examples = 300              # that every student learns from, drawn by lot; default all
    tests = ["a.jsonl"]         # instead of the first run file's test
    often = 200                 # problems of each test to attempt 8 times, for pass@k and for the
                                # standard error of repeated evaluations; default 0
    [arms]
    "teacher" = ["runs/sigma-tiny.toml"]
    "policy" = ["runs/sigma-tiny.toml", "engines.critic=local:src/whorl/models/policy"]

    [without]                   # an arm learns nothing from trees that count this in their tally
    "stages 2 and 3" = "right and wrong"

One round is played. Replies are kept by seed and model, so arms whose searches ask the same
pay for it once; tokens are counted in full for each. The first arm is what the others are compared
with. What is complete is not done again. The last line is a JSON object; `cpu_minutes` is what this
call took.
"""

import argparse
import json
import re
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from whorl import __version__, settings
from whorl.ask import Engine
from whorl.cli.display import Display
from whorl.compare.findings import KS
from whorl.compare.made_up import ATTEMPTS
from whorl.compare.students import draw_examples
from whorl.data.atomic import replacing
from whorl.data.examples import read_examples
from whorl.data.forest import read_trees
from whorl.drive import drive
from whorl.engines.journal import Journal
from whorl.engines.roles import Engines, Opened, trainable
from whorl.evaluate import (
    Decoding,
    Paired,
    Score,
    Setup,
    paired_over,
    pass_rate_over,
    repeated,
)
from whorl.evaluate.exam import Exam, measure
from whorl.learn.train import train
from whorl.loop.folder import RunFolder
from whorl.loop.harvest import Harvested, harvest
from whorl.loop.run import Run
from whorl.loop.runfile import answered, read_run
from whorl.loop.split import problems_of
from whorl.recipe import arms_of
from whorl.tree import Tree
from whorl.watch import Watch


@dataclass(frozen=True, slots=True)
class Experiment:
    """What an experiment's file says; see above."""

    run: str
    arms: Mapping[str, Sequence[str]]
    seeds: int = 3
    examples: int | None = None
    tests: Sequence[str] = ()
    often: int = 0
    without: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Arm:
    """An arm and what became of it, by seed.

    greedy, sampled: test -> scores by seed.
    """

    name: str
    run: Run
    without: str = ""
    harvested: list[Harvested] = field(default_factory=list)
    learned: list[int] = field(default_factory=list)
    greedy: dict[str, list[list[Score]]] = field(default_factory=dict)
    sampled: dict[str, list[list[Score]]] = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--seeds", type=int, help="other than the file's")
    parser.add_argument("--run", type=Path, help="another folder to write")
    parser.add_argument("--json", action="store_true", help="print nothing but the last line")
    options = parser.parse_args()
    torch.set_num_threads(1)
    experiment = Experiment(**tomllib.loads(options.experiment.read_text()))
    experiment = replace(experiment, seeds=options.seeds or experiment.seeds)
    found = play(options.run or Path(experiment.run), experiment, Display())
    if not options.json:
        print(table(found))
    print(json.dumps(found))


def play(folder: Path, experiment: Experiment, watch: Watch) -> dict[str, Any]:
    """Grow, train and measure every arm under every seed, or go on with it; what was found."""
    start = time.process_time()
    arms = [
        Arm(name, answered(read_run(Path(file), changes)), experiment.without.get(name, ""))
        for name, (file, *changes) in experiment.arms.items()
    ]
    first = arms[0].run
    tests = [Path(test) for test in experiment.tests or [str(first.test)]]
    for seed in range(experiment.seeds):
        for arm in arms:
            place = folder / f"seed-{seed}" / _file(arm.name)
            arm.harvested.append(_grow(place, arm, seed, watch))
            model, learned = _train(place, arm.run, experiment.examples, seed)
            arm.learned.append(learned)
            _examine(place, arm, tests, model, experiment.often, watch)
    base = Arm("base", first)
    model = trainable(first.engines.policy)
    for _ in range(experiment.seeds):
        _examine(folder / "base", base, tests, model, experiment.often, watch)
    return {
        "seeds": experiment.seeds,
        "base": {test.name: _rates(base, test) for test in tests},
        "arms": {arm.name: _found(arm, base, arms[0], tests) for arm in arms},
        "cpu_minutes": round((time.process_time() - start) / 60, 1),
    }


def _file(name: str) -> str:
    return re.sub(r"\W+", "-", name)


def _grow(place: Path, arm: Arm, seed: int, watch: Watch) -> Harvested:
    """The arm's trees under a seed, and its examples, unless they are there."""
    run = arm.run
    said = settings.as_table(run)
    grown = {key: said[key] for key in ("problems", "engines", "recipe", "limit", "train")}
    with RunFolder.open(place, grown, version=__version__) as own:
        crop = Harvested.read(place)
        if crop is None:
            watch.say(f"{arm.name}, seed {seed}: growing trees")
            trees = {tree.origin(0): tree for tree in _searched(place.parent, run, seed)}
            with replacing(own.trees) as file:
                for _, tree in sorted(trees.items()):
                    file.write(tree.to_json().encode() + b"\n")
            crop = _harvest(own.trees, arm, place / "examples.jsonl")
            crop.write(place)
            watch.wrote(place, f"{crop.examples:,} examples from {crop.trees:,} trees")
        return crop


def _searched(folder: Path, run: Run, seed: int) -> Iterator[Tree]:
    with ExitStack() as stack:
        own = {role: spec for role, spec in run.engines.named().items() if role in run.recipe.roles}
        by_role = stack.enter_context(Opened(Engines(**own, processes=0))).by_role()
        kept: dict[str, Engine] = {}  # a journal for each model
        for role, engine in by_role.items():
            model = own.get(role, role)
            if model not in kept:
                journal = stack.enter_context(Journal(folder / f"{_file(model)}.db"))
                kept[model] = journal.wrap(engine)
        engines = {role: kept[own.get(role, role)] for role in by_role}
        arms = arms_of(run.recipe)
        searches = (
            (f"{problem.id}#{name}", arm.grow(problem))
            for problem in problems_of(replace(run, patience=0))
            for name, arm in arms.items()
        )
        for finished in drive(searches, engines, width=run.width, seed=1_000_000 * seed):
            if finished.result is None:
                raise RuntimeError(f"{finished.key}: {finished.error}")
            finished.result.cost = dict(sorted(finished.cost.items()))
            finished.result.provenance |= {"arm": finished.key.partition("#")[2]}
            yield finished.result


def _harvest(trees: Path, arm: Arm, out: Path) -> Harvested:
    """What the arm learns from, with the counts and the cost of all its trees."""
    recipe = arm.run.recipe
    crop = harvest(trees, recipe, out)
    if not arm.without:
        return crop
    some = out.with_name("some.jsonl")
    with replacing(some) as file:
        for tree in read_trees(trees):
            if not recipe.tally(tree).get(arm.without):
                file.write(tree.to_json().encode() + b"\n")
    less = harvest(some, recipe, out)
    return replace(crop, examples=less.examples, dropped=less.dropped)


def _train(place: Path, run: Run, count: int | None, seed: int) -> tuple[Path, int]:
    """The student's folder and how many examples it learned from."""
    examples = place / "examples.jsonl"
    if count is not None:
        draw_examples(examples, place / "learned.jsonl", count, seed)
        examples = place / "learned.jsonl"
    base = trainable(run.engines.policy)
    if not examples.stat().st_size:
        return base, 0
    student = place / "student"
    own = replace(run.train, seed=run.train.seed + seed)
    result = train(
        base,
        read_examples(examples),
        student,
        settings=own,
        objective=run.recipe.objective,
    )
    return student, result.examples


def _examine(
    place: Path, arm: Arm, tests: Sequence[Path], model: Path, often: int, watch: Watch
) -> None:
    """Attempt the tests, once greedily and the first problems 8 times, unless that is done."""
    place.mkdir(parents=True, exist_ok=True)
    greedy = Decoding(max_tokens=ATTEMPTS.max_tokens)
    for test in tests:
        some = place / f"often-{test.name}"
        with test.open("rb") as file, replacing(some) as out:
            out.writelines(line for line, _ in zip(file, range(often), strict=False))
        for kind, problems, decoding, kept in (
            ("greedy", test, greedy, arm.greedy),
            ("sampled", some, ATTEMPTS, arm.sampled),
        ):
            if kind == "sampled" and not often:
                continue
            engines = Engines(f"local:{model}", processes=0)
            scores = place / f"{kind}-{test.name}"
            setup = Setup(decoding=decoding)
            with Opened(engines) as opened:
                found = measure(opened, Exam(problems, setup), watch, out=scores)
            kept.setdefault(test.name, []).append(found)


def _found(arm: Arm, base: Arm, first: Arm, tests: Sequence[Path]) -> dict[str, Any]:
    cost, tally, dropped = Counter[str](), Counter[str](), Counter[str]()
    for crop in arm.harvested:
        cost.update(crop.cost)
        tally.update(crop.tally)
        dropped.update(crop.dropped)
    return {
        "trees": fmean(crop.trees for crop in arm.harvested),
        "tokens": {role: count / len(arm.harvested) for role, count in sorted(cost.items())},
        "harvested": fmean(crop.examples for crop in arm.harvested),
        "examples": fmean(arm.learned),
        "tally": dict(sorted(tally.items())),
        "dropped": dict(sorted(dropped.items())),
        "tests": {
            test.name: {
                **_rates(arm, test),
                "gain": _change(base, arm, test),
                "gain_by_seed": [
                    100 * paired_over([pair]).difference.value for pair in _pairs(base, arm, test)
                ],
                "over_first": _change(first, arm, test) if arm is not first else None,
            }
            for test in tests
        },
    }


def _rates(arm: Arm, test: Path) -> dict[str, Any]:
    sampled = arm.sampled.get(test.name, [])
    return {
        "accuracy": 100 * pass_rate_over(arm.greedy[test.name], 1).value,
        "pass_at_k": {k: 100 * pass_rate_over(sampled, k).value for k in KS if sampled},
        "repeated": [asdict(again) for own in sampled if (again := repeated(own))],
    }


def _pairs(before: Arm, after: Arm, test: Path) -> list[tuple[list[Score], list[Score]]]:
    return list(zip(before.greedy[test.name], after.greedy[test.name], strict=True))


def _change(before: Arm, after: Arm, test: Path) -> dict[str, float]:
    """In points, over the seeds; see `evaluate.paired_over`."""
    change: Paired = paired_over(_pairs(before, after, test))
    points = change.difference
    return {
        "points": 100 * points.value,
        "low": 100 * points.low,
        "high": 100 * points.high,
        "p": change.p_value,
    }


HEAD = (
    *("arm", "test", "right %", "gain", "95 %", "p", "by seed", "over the first", "p"),
    *("pass@k %", "tokens", "harvested", "examples"),
)


def table(found: Mapping[str, Any]) -> str:
    """A Markdown table, a row per arm and test."""
    rows = [HEAD, ["---", "---", *["---:"] * (len(HEAD) - 2)]]
    for test, rates in found["base"].items():
        passed = "/".join(f"{rate:.1f}" for rate in rates["pass_at_k"].values())
        rows.append(["base", test, f"{rates['accuracy']:.1f}", *[""] * 6, passed, *[""] * 3])
    for name, arm in found["arms"].items():
        for test, rates in arm["tests"].items():
            gain, over = rates["gain"], rates["over_first"]
            rows.append(
                [
                    name,
                    test,
                    f"{rates['accuracy']:.1f}",
                    f"{gain['points']:+.1f}",
                    f"{gain['low']:+.1f} to {gain['high']:+.1f}",
                    f"{gain['p']:.2g}",
                    ", ".join(f"{points:+.1f}" for points in rates["gain_by_seed"]),
                    f"{over['points']:+.1f}" if over else "",
                    f"{over['p']:.2g}" if over else "",
                    "/".join(f"{rate:.1f}" for rate in rates["pass_at_k"].values()),
                    f"{sum(arm['tokens'].values()):,.0f}",
                    f"{arm['harvested']:,.0f}",
                    f"{arm['examples']:,.0f}",
                ]
            )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    main()

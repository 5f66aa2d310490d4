"""Presets of `whorl compare`: comparisons of the shipped models on made-up problems."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from whorl.compare.comparison import Comparison
from whorl.compare.methods import methods, select_methods
from whorl.data import synthetic
from whorl.data.problems import write_problems
from whorl.engines.roles import Engines
from whorl.evaluate import Decoding
from whorl.models import POLICY, SMALL, TEACHER
from whorl.recipes import RECIPES


@dataclass(frozen=True, slots=True)
class ComparisonPreset:
    """Size of a comparison of the shipped models.

    names: of the methods. problems: to learn from. test: problems to measure on; often: how many of
    them are attempted several times, for pass@k. tokens, seeds: see `Comparison`.
    """

    names: tuple[str, ...]
    problems: int
    test: int
    often: int
    tokens: int
    seeds: int


PRESETS = {
    "smoke": ComparisonPreset(
        ("sigma", "rft"), problems=40, test=100, often=20, tokens=12_000, seeds=1
    ),
    "small": ComparisonPreset(
        tuple(RECIPES), problems=150, test=1000, often=200, tokens=100_000, seeds=3
    ),
}


ATTEMPTS = Decoding(n=8, temperature=0.8, top_p=0.95, max_tokens=256)
"""For pass@k of the shipped models."""


def made_up(
    folder: Path,
    preset: ComparisonPreset,
    overrides: Sequence[str] = (),
    typed: Sequence[str] = (),
) -> Comparison:
    """The comparison of a preset, on the problems that `write_made_up` wrote into `folder`. One job
    per core. typed: overrides that have to change something."""
    policy, teacher = f"local:{POLICY}", f"local:{TEACHER}"
    return Comparison(
        folder / "problems.jsonl",
        folder / "test.jsonl",
        Engines(
            policy,
            critic=teacher,
            reviser=teacher,
            small=f"local:{SMALL}",
            processes=0,
            teacher=teacher,
        ),
        select_methods(methods("tiny"), preset.names, overrides, which="tiny", typed=typed),
        preset.tokens,
        often=folder / "often.jsonl",
        seeds=preset.seeds,
        evaluate=ATTEMPTS,
        jobs=len(os.sched_getaffinity(0)),
    )


def write_made_up(folder: Path, preset: ComparisonPreset) -> None:
    """Write the problems of a preset into `folder`."""
    pool = synthetic.problems("pool", preset.problems, seed=0)
    write_problems(folder / "problems.jsonl", pool)
    write_problems(folder / "test.jsonl", synthetic.problems("test", preset.test, seed=1))
    write_problems(folder / "often.jsonl", synthetic.problems("test", preset.often, seed=1))

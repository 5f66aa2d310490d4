"""The plan of each round of a run: seed, engines, folder and trees of the round before."""

from dataclasses import dataclass
from pathlib import Path

from whorl.engines.roles import Engines
from whorl.loop.run import Run


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """The plan of a round.

    number: 1 for the first.
    seed: of its searches, and of the evaluation of the model that it starts from.
    engines: of the round. The model that learns is the one the run names, then that of the round
        before; it is the policy, unless the run names a student.
    folder: its own run folder, which will hold its trees, examples and checkpoint.
    last: trees of the round before; None for the first.
    """

    number: int
    seed: int
    engines: Engines
    folder: Path
    last: Path | None


def plan_of(run: Run, number: int) -> RoundPlan:
    """The plan of a round of `run`, whether or not it was played. The plan of the round after the
    last one names the model that the run ended with."""
    folder = run.folder / f"round-{number}"
    seed = run.seed + number - 1
    if number == 1:
        return RoundPlan(1, seed, run.engines, folder, None)
    before = run.folder / f"round-{number - 1}"
    engines = run.engines.taught(before / "checkpoint")
    return RoundPlan(number, seed, engines, folder, before / "trees.jsonl")

"""The plan of each round of a run: seed, policy, folder and trees of the round before."""

from dataclasses import dataclass, replace
from pathlib import Path

from whorl.engines.roles import Engines, following
from whorl.loop.run import Run


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """The plan of a round.

    number: 1 for the first.
    seed: of its searches, and of the evaluation of `policy`.
    policy: engine that searches: the one the run names, then the model of the round before.
    folder: its own run folder, which will hold its trees, examples and checkpoint.
    last: trees of the round before; None for the first.
    """

    number: int
    seed: int
    policy: str
    folder: Path
    last: Path | None

    def engines(self, run: Run) -> Engines:
        """The engines of the run, with this round's policy."""
        return replace(run.engines, policy=self.policy)


def plan_of(run: Run, number: int) -> RoundPlan:
    """The plan of a round of `run`, whether or not it was played. The plan of the round after the
    last one names the model that the run ended with."""
    folder = run.folder / f"round-{number}"
    seed = run.seed + number - 1
    if number == 1:
        return RoundPlan(1, seed, run.engines.policy, folder, None)
    before = run.folder / f"round-{number - 1}"
    policy = following(run.engines.policy, before / "checkpoint")
    return RoundPlan(number, seed, policy, folder, before / "trees.jsonl")

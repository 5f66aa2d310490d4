"""What many small rounds of `whorl run` cost beside growing and training.

GRPO with the shipped policy on made-up problems: each round grows a few hundred samples, learns
from them, and goes on with the optimizer's state; nothing is measured in between. It runs in this
process. Prints one JSON object:

overhead_share: of the CPU seconds of all processes, those that were neither growing (from the first
    ask of a round to its last reply) nor training (optimizer steps with their checkpoints, and the
    log-probabilities that their loss compares with): opening engines, reading and writing models,
    harvesting, books.
overhead_share_wall: the same of wall seconds, which neighbours lengthen.
cpu, wall: seconds of growing, training, and the whole.
rounds, examples: how many there were, and examples of all rounds.
"""

import argparse
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from whorl.data.problems import write_problems
from whorl.data.synthetic import problems
from whorl.engines.roles import Engines
from whorl.learn import reference, trainer
from whorl.learn.training import Training
from whorl.loop.folder import RunFolder
from whorl.loop.grow import ready
from whorl.loop.rounds import play_rounds
from whorl.loop.run import Run
from whorl.models import POLICY
from whorl.recipes import Grpo
from whorl.rollout import Sampling
from whorl.steps import BlankLine
from whorl.watch import Progress, Quiet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--questions", type=int, default=80)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--stay", action="store_true", help="engines stay open while training")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        print(json.dumps(measure(Path(name), options)))


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    write_problems(folder / "problems.jsonl", problems("pool", 400, seed=0))
    run = Run(
        folder / "run",
        folder / "problems.jsonl",
        Engines(f"local:{POLICY}", processes=0, stay=options.stay),
        Grpo(Sampling(solution_tokens=200, steps=BlankLine(min_chars=0)), samples=options.samples),
        rounds=options.rounds,
        questions=options.questions,
        train=Training(epochs=1, lr=1e-4, batch=32, warmup=0.0, carry=True),
    )
    spent = Spent()
    reference.reference_log_probs = spent.around("training", reference.reference_log_probs)
    trainer.TreeTrainer.train = spent.around("training", trainer.TreeTrainer.train)
    said = {"recipe": {"name": "grpo"}, "problems": "p", "engines": {"policy": run.engines.policy}}
    with (
        spent.of("whole"),
        ready(run) as prepared,
        RunFolder.open(run.folder, said, version="0") as own,
    ):
        played = play_rounds(own, run, prepared, Stages(spent))
    shares = {
        name: 1 - (seconds["growing"] + seconds["training"]) / seconds["whole"]
        for name, seconds in (("", spent.cpu), ("_wall", spent.wall))
    }
    return {
        **{f"overhead_share{name}": round(share, 3) for name, share in shares.items()},
        "cpu": {name: round(seconds, 1) for name, seconds in spent.cpu.items()},
        "wall": {name: round(seconds, 1) for name, seconds in spent.wall.items()},
        "rounds": len(played),
        "examples": sum(one.trained.examples for one in played),
    }


@dataclass(slots=True)
class Spent:
    """CPU and wall seconds by what they were spent on."""

    cpu: Counter[str] = field(default_factory=Counter)
    wall: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        cpu, wall = cpu_seconds(), time.monotonic()
        yield
        self.cpu[what] += cpu_seconds() - cpu
        self.wall[what] += time.monotonic() - wall

    def around(self, what: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **named: Any) -> Any:
            with self.of(what):
                return work(*args, **named)

        return timed


class Stages(Quiet):
    """A watch that times growing."""

    def __init__(self, spent: Spent) -> None:
        self._spent = spent

    @contextmanager
    def stage(self, title: str, progress: Progress) -> Iterator[None]:
        with self._spent.of("growing" if title == "grow" else title):
            yield


def cpu_seconds() -> float:
    """Of this process and all that it started, those that have ended included."""
    mine = os.times()
    return sum(mine[:4]) + sum(
        sum(each.cpu_times()[:2]) for each in psutil.Process().children(recursive=True)
    )


if __name__ == "__main__":
    main()

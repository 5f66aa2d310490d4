"""Run files side by side, round by round: what each round of a method adds.

    python benchmarks/by_round.py runs/guides.toml

The file names its arms as `benchmarks/experiment.py` has it, and `rounds`. Every arm plays the loop
of `whorl run` so many rounds, under several seeds, without stopping early; its model is measured on
the run file's test after each. `responses` are the solutions sampled for a question so far,
completions of a part of one included. The first arm is what the others are compared with, at their
last round. What is complete is not done again. The last line is a JSON object.
"""

import argparse
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from whorl import __version__
from whorl.cli.display import Display
from whorl.data.forest import read_trees
from whorl.evaluate import Paired, Score, paired_over, pass_rate_over, read_scores
from whorl.loop.folder import RunFolder
from whorl.loop.grow import ready
from whorl.loop.manifest import learned_from
from whorl.loop.metrics import Round
from whorl.loop.rounds import play_rounds
from whorl.loop.run import Run
from whorl.loop.runfile import answered, read_run
from whorl.tree import Tree
from whorl.watch import Watch


@dataclass(slots=True)
class Arm:
    """An arm and what became of it: a run and its rounds for each seed."""

    name: str
    played: list[tuple[Run, list[Round]]] = field(default_factory=list)

    def scores(self, number: int) -> list[list[Score]]:
        """Scores by seed, of the model after so many rounds: the last one there is, where a run
        ended before, with nothing more to learn from."""
        return [
            read_scores(run.folder / f"scores-{min(number, len(played))}.jsonl")
            for run, played in self.played
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--seeds", type=int, help="other than the file's")
    parser.add_argument("--rounds", type=int, help="other than the file's")
    parser.add_argument("--run", type=Path, help="another folder to write")
    options = parser.parse_args()
    torch.set_num_threads(1)
    try:
        said = tomllib.loads(options.experiment.read_text())
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {options.experiment}: {error}") from error
    folder = options.run or Path(said["run"])
    rounds, seeds = options.rounds or said["rounds"], options.seeds or said.get("seeds", 3)
    found = play(folder, said["arms"], rounds, seeds, Display())
    print(table(found))
    print(json.dumps(found))


def play(
    folder: Path, arms: Mapping[str, Sequence[str]], rounds: int, seeds: int, watch: Watch
) -> dict[str, Any]:
    """Play every arm under every seed, or go on with it; what was found."""
    runs = {
        name: answered(read_run(Path(file), changes)) for name, (file, *changes) in arms.items()
    }
    every = [Arm(name) for name in runs]
    for seed in range(seeds):  # seed by seed, so that a call that is ended leaves whole ones
        for arm in every:
            place = folder / f"seed-{seed}" / re.sub(r"\W+", "-", arm.name)
            arm.played.append(play_arm(runs[arm.name], place, rounds, seed, watch))
    return {
        "seeds": seeds,
        "rounds": rounds,
        "base": 100 * pass_rate_over(every[0].scores(0), 1).value,
        "arms": {arm.name: rows_of(arm, every[0], rounds) for arm in every},
    }


def play_arm(
    run: Run, place: Path, rounds: int, seed: int, watch: Watch
) -> tuple[Run, list[Round]]:
    """Play the rounds of an arm under a seed."""
    own = replace(
        run,
        folder=place,
        seed=1000 * seed,
        rounds=rounds,
        patience=0,
        train=replace(run.train, seed=run.train.seed + seed),
        engines=replace(run.engines, processes=0),
    )
    with (
        ready(own) as prepared,
        RunFolder.open(place, learned_from(own), version=__version__) as bound,
    ):
        return own, play_rounds(bound, own, prepared, watch)


def rows_of(arm: Arm, first: Arm, rounds: int) -> list[dict[str, Any]]:
    """The figures of an arm after each round, over the seeds; tokens and responses add up."""
    costs = [
        padded([sum(r.harvested.cost.values()) for r in played], rounds) for _, played in arm.played
    ]
    asked = [
        padded([responses(run, r.number) for r in played], rounds) for run, played in arm.played
    ]
    tokens, answers = over_seeds(costs), over_seeds(asked)
    base = first.scores(0)
    rows = []
    for number in range(1, rounds + 1):
        scores = arm.scores(number)
        last = number == rounds and arm is not first
        rows.append(
            {
                "round": number,
                "responses": answers[number - 1],
                "tokens": tokens[number - 1],
                "examples": fmean(
                    padded([r.harvested.examples for r in played], rounds)[number - 1]
                    for _, played in arm.played
                ),
                "accuracy": 100 * pass_rate_over(scores, 1).value,
                "gain": change(base, scores),
                "by_seed": [
                    100 * paired_over([p]).difference.value for p in zip(base, scores, strict=True)
                ],
                "over_first": change(first.scores(rounds), scores) if last else None,
            }
        )
    return rows


def padded(counts: Sequence[float], rounds: int) -> list[float]:
    """Counts of rounds, with nought for those that a run did not come to."""
    return [*counts, *[0.0] * (rounds - len(counts))]


def over_seeds(counts: Sequence[Sequence[float]]) -> list[float]:
    """Running sums over the rounds, as means over the seeds."""
    return [fmean(column) for column in zip(*map(accumulate, counts), strict=True)]


def responses(run: Run, number: int) -> float:
    """Solutions that were sampled for a question in a round."""
    trees = list(read_trees(run.folder / f"round-{number}" / "trees.jsonl"))
    return sum(map(sampled, trees)) / len({tree.problem.id for tree in trees})


def sampled(tree: Tree) -> int:
    """Ends of solutions that the policy sampled, equal ones counted each time."""
    ends = (node for node in tree.nodes[1:] if not node.children and node.author != "guide")
    return sum(node.copies for node in ends)


def change(before: list[list[Score]], after: list[list[Score]]) -> dict[str, float]:
    """In points, over the seeds; see `evaluate.paired_over`."""
    found: Paired = paired_over(list(zip(before, after, strict=True)))
    points = found.difference
    return {
        "points": 100 * points.value,
        "low": 100 * points.low,
        "high": 100 * points.high,
        "p": found.p_value,
    }


HEAD = (
    *("arm", "round", "responses", "tokens", "examples", "right %", "gain", "95 %", "p"),
    *("by seed", "over the first", "p"),
)


def table(found: Mapping[str, Any]) -> str:
    """A Markdown table, a row per arm and round."""
    rows = [HEAD, ("---", *["---:"] * (len(HEAD) - 1))]
    rows.append(("base", *[""] * 4, f"{found['base']:.1f}", *[""] * 6))
    for name, own in found["arms"].items():
        for row in own:
            gain, over = row["gain"], row["over_first"]
            rows.append(
                (
                    name,
                    f"{row['round']}",
                    f"{row['responses']:.0f}",
                    f"{row['tokens']:,.0f}",
                    f"{row['examples']:,.0f}",
                    f"{row['accuracy']:.1f}",
                    f"{gain['points']:+.1f}",
                    f"{gain['low']:+.1f} to {gain['high']:+.1f}",
                    f"{gain['p']:.2g}",
                    ", ".join(f"{points:+.1f}" for points in row["by_seed"]),
                    f"{over['points']:+.1f}" if over else "",
                    f"{over['p']:.2g}" if over else "",
                )
            )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    main()

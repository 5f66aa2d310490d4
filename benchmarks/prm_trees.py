"""How well a process reward model chooses among the steps of recorded trees, against rollouts.

    whorl train --model MODEL --examples runs/a/trees.jsonl --objective prm --out PRM ...
    python benchmarks/prm_trees.py PRM runs/b/trees.jsonl [...]

reads trees in which steps and their siblings were completed twice or more, as process supervision
and SPHERE by rollouts grow them, of problems that the model was not trained on; it samples nothing.
Of every set of siblings one is chosen: by lot, by the model's score, or by whether its first
completion is right (by lot where several are). What a choice is worth is the share of its *other*
completions that are right, so that no chooser is measured by what it saw. Sets in which that is the
same for all tell nothing and are left out.

The last line is one JSON object: means with 95 % intervals, and `auc`, the chance that the model
puts a step whose other completions are better above its sibling.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from whorl import drive
from whorl.ask import Asking
from whorl.data.forest import read_trees
from whorl.engines import open_engine
from whorl.evaluate.intervals import bootstrap
from whorl.search import score
from whorl.tree import Tree


@dataclass(frozen=True, slots=True)
class Candidate:
    """A step: what the model says of it, whether its first completion is right, and the share of
    the others that are."""

    score: float
    first: float
    worth: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("prm", type=Path)
    parser.add_argument("trees", type=Path, nargs="+")
    options = parser.parse_args()
    torch.set_num_threads(1)
    places = list(scored(options.prm, options.trees))
    result = report(places)
    for name, value in result.items():
        print(f"{name}: {value}")
    print(json.dumps(result))


def scored(prm: Path, files: Sequence[Path]) -> Iterator[list[Candidate]]:
    """The sets of siblings of all trees, with what the model says of each."""
    engine = open_engine(f"prm:{prm}", processes=0)
    searches = (
        (f"{file}/{number}", candidates(tree))
        for file in files
        for number, tree in enumerate(read_trees(file))
    )
    for finished in drive(searches, {"prm": engine}, width=8):
        if finished.result is None:
            raise RuntimeError(finished.error)
        yield from finished.result
    engine.close()


def candidates(tree: Tree) -> Asking[list[list[Candidate]]]:
    """The sets of siblings with two completions or more of each, whose worth differs."""
    found = []
    for parent in range(len(tree.nodes)):
        outcomes = {step: completions(tree, step) for step in tree.nodes[parent].children}
        steps = [step for step, ends in outcomes.items() if len(ends) > 1]
        worth = {step: fmean(outcomes[step][1:]) for step in steps}
        if len(set(worth.values())) < 2:
            continue
        yield from score(tree, steps)
        found.append(
            [Candidate(tree.nodes[s].value or 0.0, outcomes[s][0], worth[s]) for s in steps]
        )
    return found


def completions(tree: Tree, step: int) -> list[float]:
    """Whether each completion of a step that was a candidate is right, in order; one without an end
    is not."""
    if tree.nodes[step].author != "policy":
        return []
    ends: list[float] = []
    below = list(tree.nodes[step].children)
    while below:
        node = tree.nodes[below.pop(0)]
        below = node.children + below
        if not node.children:
            ends += [float(node.reward == 1.0)] * node.copies
    return ends


def report(places: Sequence[Sequence[Candidate]]) -> dict[str, Any]:
    chosen: dict[str, list[float]] = {"by_lot": [], "prm": [], "one_completion": []}
    pairs: list[float] = []
    for place in places:
        chosen["by_lot"].append(fmean(c.worth for c in place))
        chosen["prm"].append(max(place, key=lambda c: c.score).worth)
        best = max(c.first for c in place)
        chosen["one_completion"].append(fmean(c.worth for c in place if c.first == best))
        for one, other in combinations(place, 2):
            if one.worth != other.worth:
                better, worse = sorted((one, other), key=lambda c: -c.worth)
                pairs.append(0.5 if better.score == worse.score else better.score > worse.score)
    result: dict[str, Any] = {"places": len(places), "pairs": len(pairs)}
    for how, values in (*chosen.items(), ("auc", pairs)):
        rate = bootstrap(values)
        result[how] = [round(x, 3) for x in (rate.value, rate.low, rate.high)]
    gain = bootstrap([a - b for a, b in zip(chosen["prm"], chosen["by_lot"], strict=True)])
    result["prm_minus_lot"] = [round(x, 3) for x in (gain.value, gain.low, gain.high)]
    return result


if __name__ == "__main__":
    main()

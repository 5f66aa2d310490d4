"""How well a process reward model chooses among the steps of recorded trees, against a completion.

    whorl train --model MODEL --examples learned.jsonl --objective prm --out PRM ...
    python benchmarks/prm_trees.py PRM runs/b/trees.jsonl [...] --learned learned.jsonl

reads trees in which candidates for a step were completed twice or more, as process supervision and
SPHERE by rollouts grow them, of problems that are not among the learned ones; it samples nothing.
Of every set of candidates one is chosen: by lot, by the model's score, or by whether its first
completion is right; where several are best, by lot among them. What a choice is worth is the share
of its *other* completions that are right, so that no chooser is measured by what it saw. Sets in
which that is the same for all tell nothing and are left out.

The last line is one JSON object: means with 95 % intervals of a bootstrap over problems, and `auc`,
the chance that the model puts a step whose other completions are better above its sibling.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

import torch

from whorl import drive
from whorl.ask import Asking
from whorl.data.contamination import fingerprints_in, ids_among
from whorl.data.forest import read_trees
from whorl.engines import open_engine
from whorl.search import score
from whorl.tree import Tree

RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Candidate:
    """A step: what the model says of it, whether its first completion is right, and the share of
    the others that are."""

    score: float
    first: float
    worth: float


Place = Sequence[Candidate]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("prm", type=Path)
    parser.add_argument("trees", type=Path, nargs="+")
    parser.add_argument("--learned", type=Path, help="trees that the model was trained on")
    options = parser.parse_args()
    torch.set_num_threads(1)
    learned = fingerprints_in(options.learned) if options.learned else set()
    by_problem: dict[str, list[Place]] = {}
    for name, places in scored(options.prm, options.trees, learned):
        by_problem.setdefault(name, []).extend(places)
    telling = [places for places in by_problem.values() if places]
    if not telling:
        raise SystemExit("error: these trees hold no candidates, of new problems, that differ")
    result = report(telling)
    for name, value in result.items():
        print(f"{name}: {value}")
    print(json.dumps(result))


def scored(
    prm: Path, files: Sequence[Path], learned: set[str]
) -> Iterator[tuple[str, list[Place]]]:
    """The sets of candidates of each tree of a problem that is not learned, scored."""
    trees = {
        f"{file}/{number}": tree
        for file in files
        for number, tree in enumerate(read_trees(file))
        if not ids_among([tree.problem], learned)
    }
    searches = ((key, candidates(tree)) for key, tree in trees.items())
    with closing(open_engine(f"prm:{prm}", processes=0)) as engine:
        for finished in drive(searches, {"prm": engine}, width=8):
            if finished.result is None:
                raise RuntimeError(finished.error)
            yield trees[finished.key].problem.id, finished.result


def candidates(tree: Tree) -> Asking[list[Place]]:
    """The sets of candidates with two completions or more of each, whose worth differs."""
    found: list[Place] = []
    for parent in tree.nodes:
        outcomes = {step: completions(tree, step) for step in parent.children}
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
    """Whether each completion of a candidate is right, in order; one that could not be judged is
    left out.

    A completion is a rollout from the candidate. In process supervision it may go on by a next step
    of the policy first; in SPHERE such steps were chosen by these very outcomes, so what lies below
    them is none.
    """
    if tree.nodes[step].author != "policy":
        return []
    chosen = any(node.mark == "not kept" for node in tree.nodes)
    ends: list[float] = []
    below = list(tree.nodes[step].children)
    while below:
        node = tree.nodes[below.pop(0)]
        if node.author == "rollout" or not chosen:
            below = node.children + below
            whole = node.author == "rollout" or node.reward is not None
            if whole and not node.children and node.mark != "undecided":
                ends += [float(node.reward == 1.0)] * node.copies
    return ends


def report(problems: Sequence[Sequence[Place]]) -> dict[str, Any]:
    """Means over all places, with intervals over problems."""
    ways: dict[str, Callable[[Place], list[float]]] = {
        "by_lot": lambda place: [fmean(c.worth for c in place)],
        "prm": lambda place: [chosen(place, lambda c: c.score)],
        "one_completion": lambda place: [chosen(place, lambda c: c.first)],
        "prm_minus_lot": lambda place: [
            chosen(place, lambda c: c.score) - fmean(c.worth for c in place)
        ],
        "prm_minus_completion": lambda place: [
            chosen(place, lambda c: c.score) - chosen(place, lambda c: c.first)
        ],
        "auc": ordered,
    }
    places = [place for own in problems for place in own]
    result: dict[str, Any] = {
        "problems": len(problems),
        "places": len(places),
        "pairs": sum(len(ordered(place)) for place in places),
    }
    for name, way in ways.items():
        result[name] = over_problems([[x for place in own for x in way(place)] for own in problems])
    return result


def chosen(place: Place, merit: Callable[[Candidate], float]) -> float:
    """What the candidate of the highest merit is worth; a mean where several have it."""
    best = max(map(merit, place))
    return fmean(c.worth for c in place if merit(c) == best)


def ordered(place: Place) -> list[float]:
    """For each pair of different worth whether the better one has the higher score; 0.5 where both
    have the same."""
    found = []
    for one, other in combinations(place, 2):
        if one.worth != other.worth:
            better, worse = sorted((one, other), key=lambda c: -c.worth)
            same = better.score == worse.score
            found.append(0.5 if same else float(better.score > worse.score))
    return found


def over_problems(values: Sequence[Sequence[float]]) -> list[float]:
    """Mean of all values, and its 95 % interval where whole problems are drawn again."""
    rng, means = Random(0), []
    for _ in range(RESAMPLES):
        drawn = [x for own in rng.choices(values, k=len(values)) for x in own]
        means += [fmean(drawn)] if drawn else []
    means.sort()
    edges = means[int(0.025 * len(means))], means[int(0.975 * len(means))]
    return [round(x, 3) for x in (fmean(x for own in values for x in own), *edges)]


if __name__ == "__main__":
    main()

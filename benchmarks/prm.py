"""How well a process reward model tells steps apart that the shipped policy writes.

Before each step: five candidates of the policy, as SPHERE samples them, once after right steps only
and once after the policy's own, which may be wrong. What a candidate is worth is known twice: by
rollouts of the policy from it (its Monte Carlo value), and by comparison with the program that made
the problem: a step is right if it and those before it say what the solution says. AUC is the
chance that a better candidate is scored above a worse one, of any problem or of the same prefix.
The last line is one JSON object.

Run: .venv/bin/python benchmarks/prm.py
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import torch

from whorl import drive
from whorl.ask import Asking
from whorl.data.story import Story
from whorl.data.synthetic import generate
from whorl.engines import open_engine
from whorl.engines.judge import Judges
from whorl.evaluate import wilson
from whorl.learn.prm import auc
from whorl.models import POLICY, PRM
from whorl.models.slips import claims
from whorl.rollout import Sampling, roll_out, sample
from whorl.search import expand, score
from whorl.tree import ROOT, Node, Tree

CANDIDATES = 5
SAMPLING = Sampling(temperature=0.8, step_tokens=64, solution_tokens=192)  # SPHERE's temperature


@dataclass(frozen=True, slots=True)
class Candidate:
    """A step, how often it was sampled, and what is known of it."""

    copies: int
    right: bool
    worth: float | None
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where candidates were sampled; clean: after right steps only."""

    clean: bool
    candidates: tuple[Candidate, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=600)
    parser.add_argument("--split", choices=("dev", "test"), default="dev")
    parser.add_argument("--rollouts", type=int, default=16)
    parser.add_argument("--policy", type=Path, default=POLICY)
    parser.add_argument("--prm", type=Path, default=PRM)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    stories = list(generate(options.split, options.problems, seed=2000 + options.seed))
    places = compared(
        stories, options.policy, options.prm, rollouts=options.rollouts, seed=options.seed
    )
    result = {**report(places), "cpu_seconds": round(time.process_time() - began, 1)}
    for name, value in result.items():
        print(f"{name}: {value}")
    print(json.dumps(result))


def compared(
    stories: Sequence[Story], policy: Path, prm: Path, *, rollouts: int, seed: int
) -> list[Place]:
    """Two places of each story, at the same random depth, with candidates that are scored."""
    engines = {
        "policy": open_engine(f"local:{policy}", processes=0),
        "prm": open_engine(f"prm:{prm}", processes=0),
        "judge": Judges(),
    }
    rng = Random(seed)
    searches = [
        (f"{number}/{clean}", _place(story, depth, clean, rollouts))
        for number, story in enumerate(stories)
        for depth in [rng.randrange(len(story.solution))]
        for clean in (True, False)
    ]
    places = []
    for finished in drive(searches, engines, width=64, seed=seed):
        if finished.error:
            raise RuntimeError(finished.error)
        places += [finished.result] if finished.result else []
    for engine in engines.values():
        engine.close()
    return places


def _place(story: Story, depth: int, clean: bool, rollouts: int) -> Asking[Place | None]:
    """None if the policy's own solution is over before `depth`."""
    tree = Tree(story.problem("dev"))
    before = list(story.solution[:depth])
    if not clean:
        (end,) = yield from sample(tree, 1, SAMPLING)
        before = [tree.nodes[i].text.strip() for i in tree.path(end)[:-1]][:depth]
        if len(before) < depth:
            return None
    at = ROOT
    for text in before:
        at = tree.add(Node(at, f"{text}\n\n", author="spine"))
    steps = yield from expand(tree, at, SAMPLING, CANDIDATES)
    steps = [i for i in steps if not tree.nodes[i].pruned]
    worth: list[float | None] = []
    for step in steps:
        ends = yield from roll_out(tree, step, rollouts, SAMPLING)
        if ends == [step]:
            worth.append(tree.nodes[step].reward)
        else:
            worth.append(sum(tree.nodes[end].reward == 1.0 for end in ends) / rollouts)
    yield from score(tree, steps)
    return Place(
        clean,
        tuple(
            Candidate(
                tree.nodes[step].copies,
                _right(story, tree, step),
                value,
                tree.nodes[step].value or 0.0,
            )
            for step, value in zip(steps, worth, strict=True)
        ),
    )


def _right(story: Story, tree: Tree, step: int) -> bool:
    """Whether the step and all before it say what the solution says."""
    written = [tree.nodes[i].text for i in tree.path(step)]
    return all(claims(a) == claims(b) for a, b in zip(written, story.solution, strict=False))


def report(places: Sequence[Place]) -> dict[str, Any]:
    clean = [place.candidates for place in places if place.clean]
    own = [place.candidates for place in places if not place.clean]
    every = [candidate for place in own for candidate in place]
    return {
        "steps": len(every),
        "good_by_monte_carlo": _share(_better(c) for c in every),
        "right_by_truth": _share(c.right for c in every),
        "auc_monte_carlo": _auc([every], _better),
        "auc_truth": _auc([every], lambda c: c.right),
        "auc_monte_carlo_siblings": _auc(own, _better),
        "auc_truth_siblings": _auc(own, lambda c: c.right),
        "auc_truth_after_right_steps": _auc([[c for p in clean for c in p]], lambda c: c.right),
        "auc_truth_of_monte_carlo": _auc(
            [[replace(c, score=c.worth or 0.0) for c in every]], lambda c: c.right
        ),
        "best_of_five": best_of(clean),
    }


def best_of(places: Iterable[Sequence[Candidate]]) -> dict[str, Any]:
    """How often the chosen one of the candidates after right steps is right, where some are and
    some are not: at random, the one sampled most often, of highest score, of highest value."""
    at_random: list[float] = []
    chosen: dict[str, list[bool]] = {"majority": [], "prm": [], "monte_carlo": []}
    for candidates in places:
        right = sum(c.copies for c in candidates if c.right)
        every = sum(c.copies for c in candidates)
        if right in (0, every):
            continue
        at_random.append(right / every)
        chosen["majority"].append(max(candidates, key=lambda c: c.copies).right)
        chosen["prm"].append(max(candidates, key=lambda c: c.score).right)
        chosen["monte_carlo"].append(max(candidates, key=lambda c: c.worth or 0.0).right)
    cases = len(at_random)
    result: dict[str, Any] = {"places": cases, "random": round(sum(at_random) / cases, 3)}
    for how, outcomes in chosen.items():
        interval = wilson(sum(outcomes), cases)
        result[how] = [round(x, 3) for x in (interval.value, interval.low, interval.high)]
    return result


def _auc(groups: Iterable[Sequence[Candidate]], good: Callable[[Candidate], bool]) -> float:
    """Mean AUC over the groups that have both kinds, weighted by their pairs."""
    pairs = above = 0.0
    for group in groups:
        scores = {kind: [c.score for c in group if good(c) == kind] for kind in (True, False)}
        found = auc(scores[True], scores[False])
        if found is not None:
            here = len(scores[True]) * len(scores[False])
            pairs, above = pairs + here, above + here * found
    return round(above / pairs, 4)


def _better(candidate: Candidate) -> bool:
    """Whether more than half of the rollouts are right."""
    return (candidate.worth or 0.0) > 0.5


def _share(outcomes: Iterable[bool]) -> float:
    listed = list(outcomes)
    return round(sum(listed) / len(listed), 4)


if __name__ == "__main__":
    main()

"""Variety of the solutions in a file of trees, and the share of it that can be learned from."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import log
from statistics import fmean
from typing import get_args

from whorl.answer import extract, normalise
from whorl.credit import Usability
from whorl.tree import Tree


@dataclass(frozen=True, slots=True)
class Variety:
    """Variety of the solutions that the policy itself finished in a file of trees.

    A solution is a judged one that the policy wrote from its first step to its last, in this search
    or, as far as a guide goes, in an earlier one; it counts once for each time it was sampled.
    Recipes sample differently, so these compare rounds of one recipe rather than recipes.

    solutions: mean over problems of how many there are.
    right: mean over problems of how many different texts the right ones have.
    entropy: nats; mean over problems with a solution of - sum p ln p, where p is the share of the
        solutions that give an answer. All right answers are one answer; wrong ones are one if
        their plain forms are. Of few solutions this is an underestimate.
    """

    solutions: float
    right: float
    entropy: float


class Solutions:
    """Counts of solutions, problem by problem, whose means are a `Variety`."""

    def __init__(self) -> None:
        self._solutions: list[int] = []
        self._right: list[int] = []
        self._entropies: list[float] = []

    def add(self, trees: Iterable[Tree]) -> None:
        """Count the solutions of a problem, all of whose trees are given."""
        answers: Counter[str] = Counter()
        texts = set()
        for tree in trees:
            for end in _solutions(tree):
                node, text = tree.nodes[end], tree.text(end).rstrip()
                answer = normalise(extract(text) or "")
                answers["" if node.reward == 1.0 else answer] += node.copies
                if node.reward == 1.0:
                    texts.add(text)
        self._solutions.append(answers.total())
        self._right.append(len(texts))
        if answers:
            self._entropies.append(entropy(answers.values()))

    @property
    def variety(self) -> Variety:
        """Means over the problems so far; all 0 if there is none."""
        if not self._solutions:
            return Variety(0.0, 0.0, 0.0)
        entropies = self._entropies or [0.0]
        return Variety(fmean(self._solutions), fmean(self._right), fmean(entropies))


def entropy(counts: Iterable[int]) -> float:
    """Entropy of the distribution with these counts, in nats: - sum p ln p."""
    present = [count for count in counts if count]
    total = sum(present)
    return sum(count / total * log(total / count) for count in present)


def usable_share(tally: Mapping[str, int]) -> float | None:
    """Share of the states or prefixes whose continuations differ in outcome, so that there is
    something to learn: MARGE's states, GRPO's and DPO's questions, the prefixes of process
    supervision and step-level DPO. None if the recipe counts no such states."""
    if prefixes := tally.get("prefixes"):
        return (tally.get("prefixes that tell", 0) + tally.get("pairs", 0)) / prefixes
    states = {
        name: tally.get(name, 0) + tally.get(f"states {name}", 0) for name in get_args(Usability)
    }
    total = sum(states.values())
    return states["usable"] / total if total else None


def _solutions(tree: Tree) -> Iterator[int]:
    """Ends of the judged solutions that were sampled here and that the policy wrote alone."""
    for end in tree.leaves():
        sampled = tree.nodes[end].author in ("policy", "rollout")  # a guide's was, earlier
        if sampled and tree.first_hand(end):
            yield end

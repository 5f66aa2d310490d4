"""Branches: the ends below each step of a tree, and what a step or an end is worth among them.

An end is where a solution by the policy stops: judged, or wrong because it was cut off or states no
answer. Equal samples count each time. These are the advantages of methods that sample a tree in
place of a group of whole solutions; whichever recipe grew the tree, it can be read so.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import sqrt
from statistics import fmean, mean, stdev

from whorl import prompts
from whorl.credit.groups import state_prompt
from whorl.credit.paths import ended, outcome, step_text
from whorl.example import Weighted
from whorl.tree import ROOT, Tree

ROLLED = ("policy", "rollout")
"""Authors of steps that the policy sampled."""

TINY = 1e-6  # added to a standard deviation, as Tree-GRPO's code does


@dataclass(frozen=True, slots=True)
class End:
    """An end of a solution by the policy.

    node: its last node. path: from the root's child down to it. reward: 1.0 right, 0.0 wrong.
    copies: how many samples it stands for.
    """

    node: int
    path: tuple[int, ...]
    reward: float
    copies: int


def ends_of(tree: Tree) -> list[End]:
    """The decided ends of solutions that the policy alone wrote, in order of creation."""
    found = []
    for index, node in enumerate(tree.nodes):
        if index == ROOT or node.children or node.author not in ROLLED:
            continue
        reward = outcome(node)
        path = tuple(tree.path(index))
        if reward is not None and tree.first_hand(index) and tree.text(index).strip():
            found.append(End(index, path, reward, node.copies))
    return found


def tell_apart(ends: Sequence[End]) -> bool:
    """Whether some ends are right and some wrong."""
    return len({end.reward for end in ends}) > 1


@dataclass(frozen=True, slots=True)
class Below:
    """The ends below a node, itself included: the mean of their rewards, which is exact, so that
    equal ones differ by 0, and how many they are."""

    value: Fraction
    count: int


def below(ends: Sequence[End]) -> Mapping[int, Below]:
    """For the root and every node on a path to `ends`, what lies below it."""
    sums: dict[int, Fraction] = defaultdict(Fraction)
    counts: dict[int, int] = defaultdict(int)
    for end in ends:
        for node in (ROOT, *end.path):
            sums[node] += end.copies * Fraction(end.reward)
            counts[node] += end.copies
    return {node: Below(sums[node] / counts[node], counts[node]) for node in counts}


def step_advantages(tree: Tree, ends: Sequence[End]) -> dict[int, float]:
    """Advantage of each step on a path to `ends`: (V(s) - V(root) + V(s) - V(parent)) / sqrt(n(s)),
    with V the mean reward of the n ends below (TreeRL, 2506.11902: global and local advantage)."""
    known = below(ends)
    root = known[ROOT].value if known else Fraction()
    return {
        step: float(2 * own.value - root - known[tree.nodes[step].parent].value) / sqrt(own.count)
        for step, own in known.items()
        if step != ROOT
    }


def relative_advantages(ends: Sequence[End]) -> list[float]:
    """Advantage of each end: among those that begin with the same step, plus among all, each
    (r - mean) / (std + 1e-6) with the unbiased deviation; one alone has mean 0 and deviation 1
    (Tree-GRPO, 2509.21240, its code: within a tree, and between the trees of a question)."""
    trees: dict[int, list[float]] = defaultdict(list)
    for end in ends:
        trees[end.path[0]] += [end.reward] * end.copies
    every = [reward for rewards in trees.values() for reward in rewards]
    return [_scaled(end.reward, trees[end.path[0]]) + _scaled(end.reward, every) for end in ends]


def _scaled(reward: float, group: Sequence[float]) -> float:
    mean, deviation = (fmean(group), stdev(group)) if len(group) > 1 else (0.0, 1.0)
    return (reward - mean) / (deviation + TINY)


def ancestor_advantages(ends: Sequence[End]) -> list[float]:
    """Advantage of each end: the mean, over the steps on its way that more than one end goes
    through and the root, of its reward less the mean reward below that step (TreePO, 2508.17445,
    its code: `average` over all depths)."""
    known = below(ends)
    found = []
    for end in ends:
        shared = [known[ROOT], *(known[i] for i in end.path if known[i].count > 1)]
        found.append(float(mean(Fraction(end.reward) - group.value for group in shared)))
    return found


def taught_ends(tree: Tree, ends: Sequence[End], advantages: Sequence[float]) -> Iterator[Weighted]:
    """Examples: each sample's whole solution, weighted by its advantage. What ends share is packed
    once, and counts for each of them."""
    prompt = prompts.plain(tree)
    for end, weight in zip(ends, advantages, strict=True):
        node = tree.nodes[end.node]
        whole = ended(node) or node.mark == "no answer"
        one = Weighted(prompt, tree.text(end.node).rstrip(), weight, whole, tree.origin(end.node))
        if weight:
            yield from [one] * end.copies


def merged(examples: Iterable[Weighted]) -> list[Weighted]:
    """Equal samples as one example with the sum of their weights: a harvest writes equal examples
    once where the objective is a mean over tokens."""
    found: dict[Weighted, tuple[Weighted, float]] = {}
    for one in examples:
        taught = replace(one, weight=0.0, origin="")
        first, weight = found.get(taught, (one, 0.0))
        found[taught] = first, weight + one.weight
    return [replace(first, weight=weight) for first, weight in found.values()]


def taught_steps(tree: Tree, advantages: Mapping[int, float]) -> Iterator[Weighted]:
    """Examples: each step after what came before it, weighted by its advantage."""
    for step, weight in advantages.items():
        node = tree.nodes[step]
        text = step_text(node)
        whole = ended(node) or node.mark == "no answer"
        if weight and (text or whole) and node.mark != "empty" and node.author in ROLLED:
            here = state_prompt(tree, node.parent)
            yield Weighted(here, text, weight, whole, tree.origin(step))

"""Facts about a tree that a list of trees is searched, filtered and sorted by."""

from collections.abc import Iterator
from dataclasses import dataclass

from whorl.evaluate.scores import verdict
from whorl.report.critiques import searched_path
from whorl.tree import Node, Tree

BINS = 10
"""Bins of values, of equal width, for their calibration."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts about a tree, by the names of the columns that hold them.

    before, after: outcome of the policy's best path, and of the chosen one: right, wrong,
        undecided; empty without one.
    nodes, depth: without the root. tokens: sampled for it. longest: characters of its longest step.
    undecided: ends that the judge could not decide.
    value: of a process reward model for the end that was chosen, or else for its best end.
    disagree: ends which that model and the judge call differently.
    mean: of all simulations.
    """

    problem: str
    arm: str
    question: str
    answer: str
    level: str
    before: str
    after: str
    nodes: int
    depth: int
    solutions: int
    right: int
    undecided: int
    tokens: int
    longest: int
    mean: float | None
    value: float | None
    disagree: int
    refined: int
    cut_short: str


def facts_of(tree: Tree) -> Facts:
    """The facts about a tree."""
    nodes = tree.nodes
    best = searched_path(tree)
    ends = [nodes[i] for i in tree.leaves()]
    depth = [0] * len(nodes)
    for i, node in enumerate(nodes[1:], start=1):
        depth[i] = depth[node.parent] + 1
    values = [end.value for end in ends if end.value is not None]
    chosen = nodes[tree.tip].value if tree.tip else None
    return Facts(
        problem=tree.problem.id,
        arm=tree.provenance.get("arm", ""),
        question=tree.problem.question,
        answer=tree.problem.answer,
        level=tree.problem.level,
        before=verdict(nodes[best[-1]].reward) if best else "",
        after=verdict(nodes[tree.tip].reward) if tree.tip else "",
        nodes=len(nodes) - 1,
        depth=max(depth),
        solutions=len(ends),
        right=sum(end.reward == 1.0 for end in ends),
        undecided=sum(_undecided(end) for end in ends),
        tokens=sum(tree.cost.values()),
        longest=max((len(node.text) for node in nodes), default=0),
        mean=nodes[0].mean if nodes[0].visits else None,
        value=chosen if chosen is not None else max(values, default=None),
        disagree=sum(
            end.reward is not None and (end.value >= 0.5) != (end.reward == 1.0)
            for end in ends
            if end.value is not None
        ),
        refined=int(any(node.author == "reviser" for node in nodes)),
        cut_short=tree.cut_short,
    )


def _undecided(end: Node) -> bool:
    return end.mark == "undecided" or (end.reward is None and not end.pruned)


def calibration(tree: Tree) -> Iterator[tuple[str, int, float]]:
    """Values beside what came of them: the kind, the bin of the value, and what came, in [0, 1].

    end: value of the reward model, and whether the answer is right. step: its value of a step on
    the way, and the Monte Carlo value there. search: Monte Carlo value of the step before an end
    without the visits of that end, and whether the answer is right.
    """
    for node in tree.nodes[1:]:
        right = None if node.reward is None else float(node.reward == 1.0)
        if node.terminal and right is not None:
            if node.value is not None:
                yield "end", _bin(node.value), right
            before = tree.nodes[node.parent]
            if (others := before.visits - node.visits) > 0:
                yield "search", _bin((before.total - node.total) / others), right
        elif not node.terminal and node.value is not None and node.visits:
            yield "step", _bin(node.value), node.mean


def _bin(value: float) -> int:
    return min(BINS - 1, int(BINS * max(0.0, value)))

"""A search tree cut down to the size of a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from whorl.report.critiques import (
    Note,
    StepPair,
    compare_paths,
    read_note,
    revised_path,
    searched_path,
)
from whorl.report.text import Excerpt, clip
from whorl.tree import ROOT, Tree

NODES = 200  # of one tree that are shown
DEPTH = 60  # steps below the root that are shown; browsers nest some 500 elements, a step takes 3
FLAT = 12  # steps below the root from which on nothing is indented further
TEXT = 600  # characters of a step
NOTE = 1_200  # characters of a note
QUESTION = 3_000  # characters of a question

TreeOutcome = Literal["right", "wrong", "undecided"]


@dataclass(frozen=True, slots=True)
class ShownNode:
    """A node as the page shows it.

    outcome: of a terminal node, None elsewhere.
    mean: mean outcome in [0, 1]; None if there were no visits.
    best, chosen: it lies on the policy's best path, on the path to the chosen solution.
    tip: it is the chosen solution's end.
    children, hidden: those shown, and how many nodes below this one are not.
    flat: its children are not indented.
    """

    text: Excerpt
    note: Note | None
    mark: str
    author: str
    outcome: TreeOutcome | None
    pruned: bool
    visits: int
    copies: int
    mean: float | None
    best: bool
    chosen: bool
    tip: bool
    children: tuple["ShownNode", ...]
    hidden: int
    flat: bool


@dataclass(frozen=True, slots=True)
class View:
    """A tree as the page shows it.

    before, after: outcomes of the policy's best path and of the chosen one, None without one.
    revised, accepted: a reviser wrote something; what it wrote was chosen.
    steps, hidden: the root's children shown, and how many nodes below the root are not, per node.
    shown, nodes, solutions, right, tokens: counts of the whole tree, its root aside.
    """

    id: Excerpt
    question: Excerpt
    answer: Excerpt
    tags: tuple[str, ...]
    before: TreeOutcome | None
    after: TreeOutcome | None
    revised: bool
    accepted: bool
    comparisons: tuple[StepPair, ...]
    steps: tuple[ShownNode, ...]
    hidden: int
    shown: int
    nodes: int
    solutions: int
    right: int
    tokens: int


def outcomes(tree: Tree) -> tuple[TreeOutcome | None, TreeOutcome | None]:
    """Outcomes of the policy's best path and of the chosen one; None without one."""
    best = searched_path(tree)
    before = _outcome(tree.nodes[best[-1]].reward) if best else None
    return before, _outcome(tree.nodes[tree.tip].reward) if tree.tip != ROOT else None


def view(tree: Tree) -> View:
    """The view of one tree."""
    best, revised, chosen = searched_path(tree), revised_path(tree), tree.path(tree.tip)
    criticised = any(tree.nodes[i].note for i in best)
    shown = _shown(tree, (*chosen, *best))
    steps, hidden = _below(tree, ROOT, shown, frozenset(best), frozenset(chosen))
    problem, leaves = tree.problem, list(tree.leaves())
    before, after = outcomes(tree)
    tags = (
        problem.source,
        problem.level and f"level {problem.level}",
        tree.provenance.get("recipe", ""),
        tree.provenance.get("arm", ""),
    )
    return View(
        id=clip(problem.id, 80),
        question=clip(problem.question, QUESTION),
        answer=clip(problem.answer, 200),
        tags=tuple(clip(tag, 40).text for tag in tags if tag),
        before=before,
        after=after,
        revised=bool(revised),
        accepted=bool(revised) and revised == chosen,
        comparisons=compare_paths(tree, best, revised) if criticised or revised else (),
        steps=steps,
        hidden=hidden,
        shown=len(shown),
        nodes=len(tree.nodes) - 1,
        solutions=len(leaves),
        right=sum(tree.nodes[i].reward == 1.0 for i in leaves),
        tokens=sum(tree.cost.values()),
    )


def _shown(tree: Tree, paths: Sequence[int]) -> set[int]:
    """Up to `NODES` nodes, each with its ancestors: `paths`, then what was revised or has a note,
    then the most visited."""
    depth = [0] * len(tree.nodes)
    for i, node in enumerate(tree.nodes[1:], start=1):
        depth[i] = depth[node.parent] + 1
    first = frozenset(paths)

    def rank(i: int) -> tuple[bool, bool, int, int]:
        node = tree.nodes[i]
        return (
            i not in first,
            not (node.author == "reviser" or node.note or node.mark),
            -node.visits,
            i,
        )

    shown: set[int] = set()
    for i in sorted(range(1, len(tree.nodes)), key=rank):
        line = []
        while depth[i] <= DEPTH and i != ROOT and i not in shown:
            line.append(i)
            i = tree.nodes[i].parent
        if len(shown) + len(line) <= NODES:
            shown.update(line)
        if len(shown) == NODES:
            break
    return shown


def _below(
    tree: Tree, parent: int, shown: set[int], best: frozenset[int], chosen: frozenset[int]
) -> tuple[tuple[ShownNode, ...], int]:
    """The shown children of `parent`, and how many nodes below it that leaves out."""
    children = tree.nodes[parent].children
    steps = tuple(_step(tree, i, shown, best, chosen) for i in children if i in shown)
    return steps, sum(_size(tree, i) for i in children if i not in shown)


def _step(
    tree: Tree, i: int, shown: set[int], best: frozenset[int], chosen: frozenset[int]
) -> ShownNode:
    node = tree.nodes[i]
    children, hidden = _below(tree, i, shown, best, chosen)
    return ShownNode(
        text=clip(node.text, TEXT),
        note=read_note(node.note, limit=NOTE),
        mark=node.mark,
        author=node.author,
        outcome=_outcome(node.reward) if node.terminal else None,
        pruned=node.pruned,
        visits=node.visits,
        copies=node.copies,
        mean=node.mean if node.visits else None,
        best=i in best,
        chosen=i in chosen,
        tip=i == tree.tip,
        children=children,
        hidden=hidden,
        flat=tree.depth(i) > FLAT,
    )


def _size(tree: Tree, root: int) -> int:
    """Number of nodes in the subtree of `root`, with the root."""
    size, stack = 0, [root]
    while stack:
        size += 1
        stack.extend(tree.nodes[stack.pop()].children)
    return size


def _outcome(reward: float | None) -> TreeOutcome:
    if reward is None:
        return "undecided"
    return "right" if reward == 1.0 else "wrong"

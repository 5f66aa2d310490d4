"""Credit of paths: what the end of a solution counts as, and the best, the right and the distinct
ones."""

from collections.abc import Collection, Iterable, Sequence
from typing import Literal, TypeAlias

from whorl.ask import Prompt
from whorl.errors import UserError
from whorl.example import Pair
from whorl.steps import same_words
from whorl.tree import NO_PARENT, ROOT, Author, Mark, Node, Tree

DeadEnds: TypeAlias = Literal["leaf", "propagate"]
"""What a dead end tells its ancestors: `leaf`, nothing (rStar-Math); `propagate`, that it is wrong
(AlphaMath)."""

_UNFINISHED: tuple[Mark, ...] = ("cut off", "empty", "no answer", "undecided")
_UNTOLD: tuple[Mark, ...] = ("undecided", "dead end", "not kept")


def outcome(node: Node, dead_ends: DeadEnds = "propagate") -> float | None:
    """Outcome of a solution that ends at `node`: 1.0 right, 0.0 wrong, None if it does not count.

    A judged end counts as its reward, and so does one that a sibling stated in almost the same
    words. An undecided answer is neither right nor wrong, nor is a step that search closed by
    itself, because all that follows it is closed or others were preferred. Every other pruned step
    (cut off, empty, without an answer, too deep) is a dead end, and wrong where `dead_ends`
    propagate.
    """
    if not node.pruned or (node.mark == "repeated" and node.reward is not None):
        return node.reward
    return None if dead_ends == "leaf" or node.mark in _UNTOLD else 0.0


def prune(node: Node, reason: Mark) -> None:
    """Prune a step, so that search passes it by, and mark why."""
    node.pruned = True
    node.terminal = False
    node.mark = reason


def backup(tree: Tree, leaf: int, value: float) -> None:
    """Count one simulation that ended at `leaf` with `value` in [0, 1], up to the root."""
    nodes, index = tree.nodes, leaf
    while index != NO_PARENT:
        node = nodes[index]
        node.visits += 1
        node.total += value
        index = node.parent


def backup_all(tree: Tree, ends: Iterable[int], dead_ends: DeadEnds = "propagate") -> None:
    """Back up each of `ends` that counts as right or wrong; see `outcome`."""
    for end in ends:
        value = outcome(tree.nodes[end], dead_ends)
        if value is not None:
            backup(tree, end, value)


def outcomes(tree: Tree) -> dict[str, int]:
    """Counts of whole samples by outcome; equal ones count each time."""
    counts = {"right": 0, "wrong": 0, "no answer": 0}
    for node in tree.nodes[1:]:
        if node.terminal:
            counts["right" if node.reward == 1.0 else "wrong"] += node.copies
        elif node.pruned:
            counts["no answer"] += node.copies
    return counts


def first_right(tree: Tree) -> int:
    """The end of the first right solution; the root if there is none."""
    return next((end for end in tree.leaves() if tree.nodes[end].reward == 1.0), ROOT)


def best_path(tree: Tree, ends: Iterable[int]) -> int:
    """The end of the best path among those to `ends`: right ones first, then the highest mean
    outcome along the path; the root if there is none."""
    nodes = tree.nodes

    def merit(end: int) -> tuple[bool, float]:
        path = tree.path(end)
        return nodes[end].reward == 1.0, sum(nodes[i].mean for i in path) / len(path)

    return max(ends, key=merit, default=ROOT)


def siblings(tree: Tree, step: int) -> list[int]:
    """The policy's other children of `step`'s parent, highest mean outcome first, unvisited ones
    last."""
    nodes = tree.nodes
    others = [
        c for c in nodes[nodes[step].parent].children if c != step and nodes[c].author == "policy"
    ]
    return sorted(others, key=lambda c: (nodes[c].visits == 0, -nodes[c].mean))


def step_value(tree: Tree, index: int) -> float:
    """Score of a step in [0, 1]: the PRM's value, or the mean outcome in a tree without values."""
    node = tree.nodes[index]
    return node.mean if node.value is None else node.value


def solutions(tree: Tree, authors: Collection[Author]) -> tuple[list[int], list[int]]:
    """Ends of the right and of the wrong solutions that `authors` alone wrote, best first.

    If any node has a PRM's value, only solutions whose last step has one count.
    """
    nodes = tree.nodes
    scored = any(node.value is not None for node in nodes)
    ends = [
        end
        for end in tree.leaves()
        if not nodes[end].pruned
        and (nodes[end].value is not None or not scored)
        and all(nodes[step].author in authors for step in tree.path(end))
    ]
    ends.sort(key=lambda end: solution_rank(tree, end), reverse=True)
    right = [end for end in ends if nodes[end].reward == 1.0]
    return right, [end for end in ends if nodes[end].reward == 0.0]


def solution_rank(tree: Tree, end: int) -> list[tuple[float, int]]:
    """Sort key of a solution: scores of its steps from the first on; of equal ones the older is
    higher."""
    return [(step_value(tree, step), -step) for step in tree.path(end)]


def distinct_texts(tree: Tree, ends: Sequence[int]) -> dict[str, int]:
    """The text of each solution, blank space after it aside, and the first of `ends` that has
    it."""
    found = {tree.text(end).rstrip(): end for end in reversed(ends)}
    return dict(reversed(found.items()))


def distinct_solutions(tree: Tree, ends: Sequence[int]) -> list[int]:
    """The first of each set of solutions whose texts differ in blanks and case only."""
    return list({same_words(tree.text(end)): end for end in reversed(ends)}.values())[::-1]


def solution_pair(
    tree: Tree, prompt: Prompt, chosen: int, rejected: int, *, noted: bool = False
) -> Pair:
    """A preference pair of two whole solutions as completions of `prompt`; with `noted` each
    follows the note of its first node, which is what its writer said before it."""

    def written(end: int) -> str:
        before = tree.nodes[tree.path(end)[0]].note if noted else ""
        return before + tree.text(end).rstrip()

    whole = ended(tree.nodes[chosen]), ended(tree.nodes[rejected])
    origin = tree.origin(chosen, rejected)
    return Pair(prompt, written(chosen), written(rejected), *whole, origin)


def step_text(node: Node) -> str:
    """Text of a step as a completion to learn; blank space after the end of a solution is left
    out."""
    return node.text.rstrip() if node.terminal else node.text


def whole_step(node: Node, glue: str) -> bool:
    """Whether a step is complete: neither cut off nor ended without an answer. glue: what ends one;
    where that is nothing, the mark alone tells."""
    if not node.pruned or node.terminal:
        return True
    return node.mark not in _UNFINISHED and node.text.endswith(glue)


def ended(node: Node) -> bool:
    """Whether the writer of a solution ended it, so that training may teach to end there; False if
    it was cut off after it had stated an answer."""
    return node.terminal and node.mark != "cut off"


def require_visits(tree: Tree, who: str) -> None:
    """Raises `UserError` if `tree` has solutions but no visits."""
    if not tree.nodes[ROOT].visits and any(tree.leaves()) and not tree.cut_short:
        raise UserError(f"{who} learns from visits, and this tree counts none")

"""Credit: what the ends of a tree are worth, and what follows from it for steps and samples.

A state is a node; what follows it to the end of a solution is a completion. MARGE calls the share
of right ones the state's value; GRPO makes it the baseline.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from random import Random
from statistics import fmean, pstdev
from typing import Literal, TypeAlias

from whorl import prompts
from whorl.ask import Prompt
from whorl.errors import UserError
from whorl.example import Pair, Weighted
from whorl.steps import same_words
from whorl.tree import NO_PARENT, ROOT, Author, Mark, Node, Tree

DeadEnds: TypeAlias = Literal["leaf", "propagate"]
"""What a dead end tells its ancestors: `leaf`, nothing (rStar-Math); `propagate`, that it is wrong
(AlphaMath)."""

_UNTOLD: tuple[Mark, ...] = ("undecided", "dead end", "not kept")
_SEARCHED: tuple[Mark, ...] = ("dead end", "too deep", "not kept")

Usability: TypeAlias = Literal[
    "usable", "all right", "all wrong", "outside the window", "nothing decided"
]
"""Whether a state's completions can be learned from, and if not, why."""


def outcome(node: Node, dead_ends: DeadEnds = "propagate") -> float | None:
    """What a solution that ends at `node` counts as: 1.0 right, 0.0 wrong, None nothing.

    A judged end counts as its reward. An undecided answer is neither right nor wrong. So is a step
    that search closed by itself, because all that follows it is closed or others were preferred.
    Every other pruned step (cut off, empty, without an answer, too deep) is a dead end, and wrong
    where `dead_ends` propagate.
    """
    if not node.pruned:
        return node.reward
    return None if dead_ends == "leaf" or node.mark in _UNTOLD else 0.0


def prune(node: Node, reason: Mark) -> None:
    """Close a step to search."""
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
    """Count a simulation for each of `ends` that counts at all; see `outcome`."""
    for end in ends:
        value = outcome(tree.nodes[end], dead_ends)
        if value is not None:
            backup(tree, end, value)


def first_right(tree: Tree) -> int:
    """The end of the first right solution; the root if there is none."""
    return next((end for end in tree.leaves() if tree.nodes[end].reward == 1.0), ROOT)


def best_path(tree: Tree, ends: Iterable[int]) -> int:
    """The right end with the highest mean outcome along its path; if none is right, the highest of
    all; the root if there is none."""
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
    """A step's score in [0, 1]: the PRM's, or its mean outcome in a tree without one."""
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
    """Sorts solutions as a search by scores does: where two part, by the steps' scores, then by
    age."""
    return [(step_value(tree, step), -step) for step in tree.path(end)]


def distinct_solutions(tree: Tree, ends: Sequence[int]) -> list[int]:
    """The first of the solutions that say the same but for blanks and case."""
    return list({same_words(tree.text(end)): end for end in reversed(ends)}.values())[::-1]


def solution_pair(
    tree: Tree, prompt: Prompt, chosen: int, rejected: int, *, noted: bool = False
) -> Pair:
    """Two whole solutions as completions of `prompt`; `noted`: each after the note of its first
    node, which is what its writer said before it."""

    def written(end: int) -> str:
        before = tree.nodes[tree.path(end)[0]].note if noted else ""
        return before + tree.text(end).rstrip()

    whole = ended(tree.nodes[chosen]), ended(tree.nodes[rejected])
    origin = tree.origin(chosen, rejected)
    return Pair(prompt, written(chosen), written(rejected), *whole, origin)


def relative_correctness(q: Sequence[float], n: Sequence[int]) -> list[float]:
    """How much better siblings do than all of them together: q_i / n_i - sum q / sum n.

    q, n: per sibling, the sum of the outcomes in [0, 1] of its simulations, and their number, at
        least 1. One reading of 2501.01478; see docs/papers.md, "MCTS process supervision".

    Exact until it is rounded: siblings that do equally well differ by exactly 0.
    """
    if not q:
        return []
    baseline = sum(map(Fraction, q)) / sum(n)
    return [float(Fraction(total) / visits - baseline) for total, visits in zip(q, n, strict=True)]


def step_text(node: Node) -> str:
    """The text of a step as a completion: no blank space follows the end of a solution."""
    return node.text.rstrip() if node.terminal else node.text


def whole_step(node: Node, glue: str) -> bool:
    """Whether a step was written to its end: neither cut off nor ended without an answer."""
    return not node.pruned or node.terminal or node.text.endswith(glue)


def ended(node: Node) -> bool:
    """Whether the step ends the solution of its writer's own accord, so that training may teach to
    end there; not if it was cut off after it had stated an answer."""
    return node.terminal and node.mark != "cut off"


def require_visits(tree: Tree, who: str) -> None:
    """Raises `UserError` if `tree` holds solutions and no simulation was counted in it."""
    if not tree.nodes[ROOT].visits and any(tree.leaves()) and not tree.cut_short:
        raise UserError(f"{who} learns from visits, and this tree counts none")


@dataclass(frozen=True, slots=True)
class Completion:
    """What the policy wrote after a state.

    node: its last node.
    text: from the state to the end.
    reward: 1.0 right; 0.0 wrong, without an answer or cut off.
    ended: the policy ended it by itself.
    copies: how many samples had exactly this text.
    """

    node: int
    text: str
    reward: float
    ended: bool
    copies: int


def completions(tree: Tree, state: int) -> list[Completion]:
    """The decided completions of `state`: paths by the policy alone, one per distinct text.

    Raises `UserError` where a path leads to no end: then they were grown step by step, by a search
    that chose where to go on, and are no independent samples.
    """
    found = []
    for node in _ends(tree, state):
        last = tree.nodes[node]
        if not last.terminal and (not last.pruned or last.mark in _SEARCHED):
            raise UserError(
                f"the tree of {tree.problem.id} was searched step by step; what is needed here is "
                "whole solutions, as grpo, dpo, rft and marge sample them"
            )
        reward = outcome(last)
        if reward is not None:
            text = tree.text(node)[len(tree.text(state)) :]
            found.append(Completion(node, text, reward, last.mark != "cut off", last.copies))
    return found


def root_completions(tree: Tree) -> list[Completion]:
    """The policy's solutions of the question. Raises `UserError` for a tree without at least two
    samples of them, and where `completions` does."""
    group = completions(tree, ROOT)
    samples = sum(tree.nodes[node].copies for node in _ends(tree, ROOT))
    if samples < 2 and len(tree.nodes) > 1 and not tree.cut_short:
        raise UserError(
            f"the tree of {tree.problem.id} has fewer than two solutions that the policy wrote "
            "after the plain question; sample more of them, as grpo and dpo do"
        )
    return group


def rewards(group: Sequence[Completion]) -> list[float]:
    """One reward per sample, so a completion's reward as often as it has copies."""
    return [completion.reward for completion in group for _ in range(completion.copies)]


def usability(group: Sequence[Completion], window: tuple[float, float] = (0.0, 1.0)) -> Usability:
    """Usable if there are right and wrong ones, and their share lies strictly inside `window`."""
    if not group:
        return "nothing decided"
    value = fmean(rewards(group))
    if value in (0.0, 1.0):
        return "all right" if value else "all wrong"
    return "usable" if window[0] < value < window[1] else "outside the window"


def group_advantage(rewards: Sequence[float]) -> list[float] | None:
    """`(r - mean r) / std r` of each reward, population standard deviation (GRPO, 2402.03300,
    section 4.1.2; MARGE, 2505.12500). None if the rewards do not differ, so that there is nothing
    to learn from them."""
    deviation = pstdev(rewards) if rewards else 0.0
    if deviation == 0.0:
        return None
    mean = fmean(rewards)
    return [(reward - mean) / deviation for reward in rewards]


def reinforced(tree: Tree, state: int, group: Sequence[Completion]) -> Iterator[Weighted]:
    """Each completion of a usable state, weighted by its advantage in the group.

    Equal samples are one example with the sum of their advantages, which is the same gradient.
    """
    repeated = group_advantage(rewards(group))
    if repeated is None:
        return
    advantages = iter(repeated)
    prompt = state_prompt(tree, state)
    for one in group:
        weight = sum(next(advantages) for _ in range(one.copies))
        if one.text or one.ended:  # a cut-off without text has no token to learn from
            yield Weighted(prompt, one.text, weight, one.ended, tree.origin(one.node))


def preference_pairs(
    tree: Tree, state: int, group: Sequence[Completion], *, most: int, rng: Random
) -> Iterator[Pair]:
    """At most `most` pairs of a random right and a random wrong completion, each used once."""
    prompt = state_prompt(tree, state)
    texts = [one for one in group if one.text or one.ended]
    right, wrong = shuffled(texts, 1.0, rng), shuffled(texts, 0.0, rng)
    for chosen, rejected in zip(right[:most], wrong[:most], strict=False):
        origin = tree.origin(chosen.node, rejected.node)
        yield Pair(prompt, chosen.text, rejected.text, chosen.ended, rejected.ended, origin)


def shuffled(group: Sequence[Completion], reward: float, rng: Random) -> list[Completion]:
    """The completions with that reward in random order, each sample as likely to come first."""
    samples = [one for one in group if one.reward == reward for _ in range(one.copies)]
    rng.shuffle(samples)
    return list(dict.fromkeys(samples))


def state_prompt(tree: Tree, state: int) -> Prompt:
    """The question, and the solution up to `state` as what the model continues."""
    prompt = prompts.plain(tree)
    return Prompt(prompt.system, prompt.user, prompt.prefix + tree.text(state))


def _ends(tree: Tree, state: int) -> Iterator[int]:
    """Last nodes below `state` of paths by the policy alone, in order of creation."""
    below = {state}
    for index, node in enumerate(tree.nodes):
        if node.parent in below and node.author == "policy":
            below.add(index)
            if not node.children:
                yield index

"""Groups: the policy's completions of a state, how good each is among them, and examples from that.

A state is a node; what follows it to the end of a solution is a completion. MARGE calls the share
of right ones the state's value; GRPO makes it the baseline.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from random import Random
from statistics import fmean, pstdev
from typing import Literal, TypeAlias

from whorl import prompts
from whorl.ask import Prompt
from whorl.credit.paths import outcome
from whorl.errors import UserError
from whorl.example import Pair, Weighted
from whorl.tree import ROOT, Mark, Tree

_SEARCHED: tuple[Mark, ...] = ("dead end", "too deep", "not kept")

Usability: TypeAlias = Literal[
    "usable", "all right", "all wrong", "outside the window", "nothing decided"
]
"""Whether a state's completions can be learned from, and if not, why."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A completion of a state, written by the policy alone.

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
    """The policy's solutions of the question. Raises `UserError` for a tree with fewer than two
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
    """Whether a group can be learned from: it has right and wrong completions, and the share of
    right ones lies strictly inside `window`."""
    if not group:
        return "nothing decided"
    value = fmean(rewards(group))
    if value in (0.0, 1.0):
        return "all right" if value else "all wrong"
    return "usable" if window[0] < value < window[1] else "outside the window"


def group_advantage(rewards: Sequence[float]) -> list[float] | None:
    """Advantage of each reward in its group: `(r - mean r) / std r`, population standard deviation
    (GRPO, 2402.03300, section 4.1.2; MARGE, 2505.12500). None if all rewards are equal."""
    deviation = pstdev(rewards) if rewards else 0.0
    if deviation == 0.0:
        return None
    mean = fmean(rewards)
    return [(reward - mean) / deviation for reward in rewards]


def reinforced(tree: Tree, state: int, group: Sequence[Completion]) -> Iterator[Weighted]:
    """Examples: each sample of a usable state's completions, weighted by its advantage in the
    group.

    Equal samples are as many examples, so that a mean over them, its penalty included, is the mean
    over samples. Packed by prefix they are computed once.
    """
    repeated = group_advantage(rewards(group))
    if repeated is None:
        return
    advantages = iter(repeated)
    prompt = state_prompt(tree, state)
    for one in group:
        weights = [next(advantages) for _ in range(one.copies)]
        if one.text or one.ended:  # a cut-off without text has no token to learn from
            origin = tree.origin(one.node)
            yield from (Weighted(prompt, one.text, w, one.ended, origin) for w in weights)


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


def shuffled(group: Sequence[Completion], reward: float | None, rng: Random) -> list[Completion]:
    """The completions with that reward, or all, in random order, each sample as likely to come
    first."""
    wanted = [one for one in group if reward is None or one.reward == reward]
    samples = [one for one in wanted for _ in range(one.copies)]
    rng.shuffle(samples)
    return list(dict.fromkeys(samples))


def state_prompt(tree: Tree, state: int) -> Prompt:
    """Prompt whose completion follows `state`: the question as the policy was asked it, and the
    solution up to the state behind whatever prefix that has."""
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


def relative_correctness(q: Sequence[float], n: Sequence[int]) -> list[float]:
    """Score of each sibling: its mean outcome less the mean of all, q_i / n_i - sum q / sum n.

    q, n: per sibling, the sum of the outcomes in [0, 1] of its simulations, and their number, at
        least 1. One reading of 2501.01478; docs/papers.md, "MCTS process supervision".

    Exact until it is rounded: siblings that do equally well differ by exactly 0.
    """
    if not q:
        return []
    baseline = sum(map(Fraction, q)) / sum(n)
    return [float(Fraction(total) / visits - baseline) for total, visits in zip(q, n, strict=True)]

"""MARGE's guide: how an episode comes by it, and what a tree tells of it and of its states.

A guide is a solution whose steps are nodes by `guide`, and its states are the prefixes of it whose
completions are sampled; the first is the question, or what every solution begins with.
"""

from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean
from typing import Literal, get_args

from whorl.credit import completions, rewards
from whorl.errors import UserError
from whorl.tree import ROOT, Tree

Choice = Literal["chosen", "fallback", "kept", "regrown", "none"]
"""How an episode came by its guide."""


def wanted_reward(value: float, threshold: float = 0.5) -> float:
    """The reward of the guide that is wanted: 0.0 for an easy problem, 1.0 for a hard one."""
    return 0.0 if value > threshold else 1.0


def guide_nodes(tree: Tree) -> list[int]:
    """The nodes of the guide, first to last."""
    return [i for i, node in enumerate(tree.nodes) if node.author == "guide"]


def states_of(tree: Tree) -> list[int]:
    """The guide's states, first to last: nodes on the guide's path that the policy completed."""
    return [
        i
        for i in (ROOT, *guide_nodes(tree))
        if any(tree.nodes[child].author == "policy" for child in tree.nodes[i].children)
    ]


def read_episode(tree: Tree) -> tuple[int, Choice]:
    """The episode that grew the tree, from 1, and how its guide was chosen. Raises `UserError` for
    a tree that MARGE did not grow."""
    said = tree.provenance
    for choice in get_args(Choice):
        if said.get("guide") == choice and said.get("episode", "").isdecimal():
            return int(said["episode"]), choice
    raise UserError(
        f"the tree of {tree.problem.id} has no guide; marge needs trees that marge has grown"
    )


def mastered(tree: Tree, value: float) -> set[str]:
    """The texts of the states whose completions are right to the share `value` at least, in this
    episode or when they were last sampled."""
    found = {tree.text(i) for i, node in enumerate(tree.nodes) if node.mark == "mastered"}
    for state in states_of(tree):
        group = completions(tree, state)
        if group and fmean(rewards(group)) >= value:
            found.add(tree.text(state))
    return found


def steepest(tree: Tree, states: Sequence[int]) -> int | None:
    """The state after which the guide's value falls most; None if it never falls."""
    groups = {state: completions(tree, state) for state in states}
    values = [(state, fmean(rewards(group))) for state, group in groups.items() if group]
    outcome = float(tree.nodes[guide_nodes(tree)[-1]].reward or 0.0)
    falls = [
        (before - after, state)
        for (state, before), (_, after) in pairwise([*values, (ROOT, outcome)])
    ]
    fall, worst = max(falls, key=lambda one: one[0], default=(0.0, None))
    return worst if fall > 0 else None

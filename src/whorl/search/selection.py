"""Selection: which step a simulation goes to next."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from whorl.credit import DeadEnds
from whorl.errors import UserError
from whorl.tree import Node, Tree


@dataclass(frozen=True, slots=True)
class Uct:
    """Settings of Monte Carlo tree search by UCT.

    constant: weight of exploration, in units of the reward scale.
    wrong, right: the reward scale: what an outcome of 0 and of 1 is worth.
    children: samples per expansion; equal texts become one node.
    depth: steps; what is not finished by then is a dead end.
    simulations: descents to the end of a solution, per tree.
    parallel: simulations under way at once, kept apart by virtual loss; 1 is sequential search.
    dead_ends: `leaf` closes a dead end and tells its ancestors nothing (rStar-Math); `propagate`
        also counts it as a wrong outcome on the whole path (AlphaMath).
    selection: how to descend: by UCT; `puct`, where likely steps come first; or `frontier`, towards
        the most promising step that nothing follows yet.
    """

    constant: float = 2.0
    wrong: float = -1.0
    right: float = 1.0
    children: int = 3
    depth: int = 16
    simulations: int = 32
    parallel: int = 4
    dead_ends: DeadEnds = "leaf"
    selection: Literal["puct", "frontier"] | None = field(default=None, metadata={"quiet": True})

    def __post_init__(self) -> None:
        for name in ("children", "depth", "simulations", "parallel"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.right <= self.wrong:
            raise ValueError("right must be worth more than wrong")

    def q(self, node: Node) -> float:
        """The mean outcome of the simulations through `node`, on the reward scale."""
        return self.wrong + (self.right - self.wrong) * node.mean


Selection: TypeAlias = Callable[[Tree, int, Uct, Mapping[int, int]], int | None]
"""A rule like `select`: the child to descend to, None if there is none."""


def select(tree: Tree, node: int, uct: Uct, virtual: Mapping[int, int]) -> int | None:
    """The child to descend to: highest `Q_c + constant * sqrt(ln N / N_c)`; a new one first.

    UCT as in SIGMA (docs/papers.md, "Search"). A simulation under way counts as a visit that ended
    wrong (virtual loss), the one that selects too, in N. Where simulations went through a child to
    no outcome, see `_past_silence`. None if every child of the policy's is pruned.
    """
    nodes, under_way = tree.nodes, virtual.get
    here = nodes[node]
    log_visits = math.log(here.visits + under_way(node, 0) or 1)
    wrong, scale, constant = uct.wrong, uct.right - uct.wrong, uct.constant
    silent = False
    best: int | None = None
    best_score = -math.inf  # kept here, as this is the innermost loop of a search
    for index in here.children:
        child = nodes[index]
        if child.pruned or child.author != "policy":
            continue
        visits = child.visits + under_way(index, 0)
        if visits:
            q = wrong + scale * child.total / visits
            score = q + constant * math.sqrt(log_visits / visits)
            if score > best_score:
                best, best_score = index, score
        elif not child.children:
            return index
        else:
            silent = True
    return _past_silence(tree, node, uct, virtual) if silent else best


def _past_silence(tree: Tree, node: int, uct: Uct, virtual: Mapping[int, int]) -> int:
    """As `select`, where simulations went through some children to no outcome: each of these counts
    as a visit that ended as those of the parent do on average."""
    visits = _visits(tree, node, virtual)
    whole = max(tree.nodes[node].visits + virtual.get(node, 0), sum(visits.values()))
    log_visits = math.log(whole)

    def score(child: int) -> float:
        bonus = math.sqrt(log_visits / visits[child])
        return _worth(tree, child, uct, virtual) + uct.constant * bonus

    return max(visits, key=score)


def _worth(tree: Tree, child: int, uct: Uct, virtual: Mapping[int, int]) -> float:
    """Q of a child, in which a simulation under way ended wrong; its parent's if it has none."""
    node = tree.nodes[child]
    visits = node.visits + virtual.get(child, 0)
    if not visits:
        return uct.q(tree.nodes[node.parent])
    return uct.wrong + (uct.right - uct.wrong) * (node.total / visits)


def _visits(tree: Tree, node: int, virtual: Mapping[int, int]) -> dict[int, int]:
    """Visits of a node's open children, those under way included; of one that has none, the steps
    from which simulations went on below it."""
    nodes, found = tree.nodes, {}
    for child in nodes[node].children:
        if not nodes[child].pruned and nodes[child].author == "policy":
            visits = nodes[child].visits + virtual.get(child, 0)
            found[child] = visits or sum(bool(nodes[i].children) for i in _under(tree, child))
    return found


def puct(tree: Tree, node: int, uct: Uct, virtual: Mapping[int, int]) -> int | None:
    """The child to descend to: highest `Q_c + constant * P_c * sqrt(N) / (1 + N_c)`.

    AlphaZero's form (1712.01815) with one constant, as of MCTS-DPO (2405.00451). The prior P is the
    policy's own: exp of the mean log-probability of a step's tokens at temperature 1, times its
    copies, over the sum for all siblings (TS-LLM, 2309.17179). A new child has its parent's Q.
    Virtual loss, closed children and those without an outcome are as for `select`. Raises
    `UserError` if the engine told no log-probabilities.
    """
    nodes, here = tree.nodes, tree.nodes[node]
    visits = _visits(tree, node, virtual)
    root = math.sqrt(max(here.visits + virtual.get(node, 0), sum(visits.values())))
    priors = {c: nodes[c].copies * math.exp(-surprise(nodes[c])) for c in visits}
    whole = sum(priors.values())

    def merit(child: int) -> float:
        bonus = priors[child] / whole * root / (1 + visits[child])
        return _worth(tree, child, uct, virtual) + uct.constant * bonus

    return max(visits, key=merit, default=None)


def _under(tree: Tree, node: int) -> Iterator[int]:
    """A node and all below it."""
    stack = [node]
    while stack:
        stack += tree.nodes[at := stack.pop()].children
        yield at


@dataclass(frozen=True, slots=True)
class Frontier:
    """DeepSearch's selection (2509.25454): towards the step of highest `parent * tanh(Q of its
    parent) + surprise * H + depth * sqrt(d / depth limit)` among those that nothing follows yet;
    H is the mean of -log p over a step's tokens. An end that no simulation has reached comes first,
    a right one before others. Where every step is followed by some, as `select`.

    parent, surprise, depth: weights; the defaults are those of its code, in which H is off.
    """

    parent: float = 0.4
    surprise: float = 0.0
    depth: float = 0.01

    def __call__(self, tree: Tree, node: int, uct: Uct, virtual: Mapping[int, int]) -> int | None:
        nodes = tree.nodes
        ends = [
            c
            for c in nodes[node].children
            if nodes[c].terminal and not nodes[c].visits + virtual.get(c, 0)
        ]
        if ends:
            return max(ends, key=lambda c: nodes[c].reward or 0.0)
        open_steps = [i for i in _below(tree, node, virtual) if not virtual.get(i, 0)]
        if not open_steps:
            return select(tree, node, uct, virtual)
        best = max(open_steps, key=lambda i: self._merit(tree, i, uct))
        while nodes[best].parent != node:
            best = nodes[best].parent
        return best

    def _merit(self, tree: Tree, step: int, uct: Uct) -> float:
        own, before = tree.nodes[step], tree.nodes[tree.nodes[step].parent]
        found = self.parent * math.tanh(uct.q(before) if before.visits else 0.0)
        found += self.depth * math.sqrt(tree.depth(step) / uct.depth)
        return found + (self.surprise * surprise(own) if self.surprise else 0.0)


def _below(tree: Tree, node: int, virtual: Mapping[int, int]) -> Iterator[int]:
    """The policy's open steps below a node that nothing follows, without those behind a step that
    simulations went through to no outcome: there are the more of them the longer it rambles."""
    nodes, stack = tree.nodes, [node]
    while stack:
        for child in nodes[stack.pop()].children:
            if nodes[child].pruned or nodes[child].author != "policy":
                continue
            if nodes[child].children:
                if nodes[child].visits or virtual.get(child, 0):
                    stack.append(child)
            elif not nodes[child].terminal:
                yield child


def surprise(node: Node) -> float:
    """Mean of -log p over a step's tokens. Raises `UserError` if the engine told no
    log-probabilities."""
    if node.logprob is None:
        raise UserError(
            "this looks at how likely steps are, and the policy's engine tells no "
            "log-probabilities; take another one, as local: or vllm:"
        )
    return -node.logprob / max(1, node.tokens)


SELECTIONS: Mapping[str | None, Selection] = {
    None: select,
    "puct": puct,
    "frontier": Frontier(),
}
"""The rules that `Uct.selection` names."""

"""The record of a search: a flat list of nodes named by index, raw statistics, one line of JSON."""

import json
from collections.abc import Iterator
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any

from whorl.problem import Problem

ROOT = 0
NO_PARENT = -1

HELPERS = frozenset(("reviser", "small", "reflector", "corrector"))
"""Authors of steps that the policy did not write in answer to the question alone."""


@dataclass(slots=True)
class Node:
    """One step of a solution.

    parent: index of the node this step continues; `NO_PARENT` for the root.
    text: the step this node adds, its separator included, so texts along a path join by `+`.
    author: who wrote it, and as what: `policy`, `reviser`, `small`; `rollout` to try a step out,
        `spine` and `guide` for steps that a search goes on from, `reflector` and `corrector` for a
        second attempt. The root has none.
    note: prose about the step: a critique, or why it was pruned.
    terminal: the solution ends here.
    pruned: search does not go here again.
    reward: the outcome of a terminal node: 1.0 right, 0.0 wrong; None elsewhere and if undecided.
    value: score of a process reward model, None if not scored.
    visits: simulations that passed through; own simulations + the children's visits.
    total: sum of those simulations' outcomes, each in [0, 1]; recipes scale it when they read it.
    copies: how many samples had exactly this text.
    tokens: sampled tokens of one copy.
    logprob: their summed log-probability in nats, None if the engine does not say.
    children: indices, in order of creation.
    """

    parent: int
    text: str = ""
    author: str = "policy"
    note: str = ""
    terminal: bool = False
    pruned: bool = False
    reward: float | None = None
    value: float | None = None
    visits: int = 0
    total: float = 0.0
    copies: int = 1
    tokens: int = 0
    logprob: float | None = None
    children: list[int] = field(default_factory=list)

    @property
    def mean(self) -> float:
        """Mean outcome in [0, 1] of the simulations through this node; 0 if there were none."""
        return self.total / self.visits if self.visits else 0.0


@dataclass(slots=True)
class Tree:
    """A search's result.

    nodes: index 0 is the root; a parent's index is below its children's.
    tip: the terminal node the recipe chose; `ROOT` if it chose none.
    cost: sampled tokens by role, discarded branches included.
    provenance: recipe, arm, seed and version that grew it.
    cut_short: what ended the search before it was done; empty if it came to its end.
    """

    problem: Problem
    nodes: list[Node] = field(default_factory=lambda: [Node(NO_PARENT, author="")])
    tip: int = ROOT
    cost: dict[str, int] = field(default_factory=dict)
    provenance: dict[str, str] = field(default_factory=dict)
    cut_short: str = ""

    def add(self, node: Node) -> int:
        """Append `node` under its parent; returns its index."""
        index = len(self.nodes)
        self.nodes.append(node)
        self.nodes[node.parent].children.append(index)
        return index

    def path(self, index: int) -> list[int]:
        """Indices from the root's child down to `index`; empty for the root."""
        path = []
        while index != ROOT:
            path.append(index)
            index = self.nodes[index].parent
        return path[::-1]

    def text(self, index: int) -> str:
        """The solution so far: texts along the path, joined."""
        return "".join(self.nodes[i].text for i in self.path(index))

    def depth(self, index: int) -> int:
        """Steps from the root."""
        depth = 0
        while index != ROOT:
            index, depth = self.nodes[index].parent, depth + 1
        return depth

    def origin(self, node: int, rejected: int | None = None) -> str:
        """What an example made of a node, or of a preferred and a rejected one, says of itself."""
        nodes = f"{node}" if rejected is None else f"{node}>{rejected}"
        return f"{self.problem.id}#{self.provenance.get('arm', '')}/{nodes}"

    def first_hand(self, index: int) -> bool:
        """Whether no helper had a hand in this solution, or part of one."""
        return not any(self.nodes[i].author in HELPERS for i in self.path(index))

    def leaves(self) -> Iterator[int]:
        """Indices of terminal nodes, in order of creation."""
        return (i for i, node in enumerate(self.nodes) if node.terminal)

    def to_json(self) -> str:
        """One line of JSON; fields that hold their default are left out."""
        nodes = [_set_fields(node) for node in self.nodes]
        record = {
            "problem": asdict(self.problem),
            "tip": self.tip,
            "cost": self.cost,
            "provenance": self.provenance,
            **({"cut_short": self.cut_short} if self.cut_short else {}),
            "nodes": nodes,
        }
        return json.dumps(record, ensure_ascii=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, line: str) -> "Tree":
        """Inverse of `to_json`. Raises ValueError if `line` is not such a tree."""
        try:
            record = json.loads(line)
            tree = cls(
                Problem(**record["problem"]),
                [Node(**fields) for fields in record["nodes"]],
                record["tip"],
                record["cost"],
                record["provenance"],
                record.get("cut_short", ""),
            )
            if not 0 <= tree.tip < len(tree.nodes):
                raise ValueError(f"the tip {tree.tip} is not a node")
            for index, node in enumerate(tree.nodes[1:], start=1):
                if not 0 <= node.parent < index:
                    raise ValueError(f"node {index} has parent {node.parent}")
                tree.nodes[node.parent].children.append(index)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a tree: {error!r}") from error
        return tree


_DEFAULTS = {
    f.name: f.default for f in fields(Node) if f.name != "children" and f.default is not MISSING
}


def _set_fields(node: Node) -> dict[str, Any]:
    """The node's fields that differ from their defaults; children follow from the parents."""
    record: dict[str, Any] = {"parent": node.parent}
    for name, default in _DEFAULTS.items():
        value = getattr(node, name)
        if value != default:
            record[name] = value
    return record

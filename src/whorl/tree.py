"""The record of a search: a flat list of nodes named by index, raw statistics, one line of JSON."""

import json
import re
from collections.abc import Iterator
from dataclasses import MISSING, asdict, dataclass, field, fields
from importlib import import_module
from typing import Any, Literal, TypeAlias, get_args

from whorl.ask import Prompt
from whorl.problem import Problem

ROOT = 0
NO_PARENT = -1
SHORT = 60  # characters of a step in its repr

Author: TypeAlias = Literal[
    "",
    "policy",
    "rollout",
    "spine",
    "guide",
    "reviser",
    "teacher",
    "small",
    "reflector",
    "corrector",
]
"""Who wrote a step, and as what; the root has no author.

policy: the model that is searched with, a step to be chosen among its siblings.
rollout: the policy, a step that a simulation was only played out with; selection passes it by.
spine: the policy, a copy of a chosen step, from which the next search starts with fresh visit
    counts; selection passes it by.
guide: the policy in an earlier search, a step of the solution that MARGE explores.
reviser: the model that rewrites steps after a critique.
teacher: the model that is learned from, which solves the problem itself.
small: the model that makes mistakes (SPHERE).
reflector, corrector: the policy, told that a solution is wrong; what it says of it, and the steps
    of the new solution.
"""

HELPERS: frozenset[Author] = frozenset(("reviser", "teacher", "small", "reflector", "corrector"))
"""Authors of steps that the policy did not write in answer to the question alone."""

Mark: TypeAlias = Literal[
    "",
    "cut off",
    "empty",
    "no answer",
    "undecided",
    "dead end",
    "too deep",
    "repeated",
    "other script",
    "not kept",
    "start",
    "split",
    "no contrast",
    "mastered",
    "unusable reflection",
    "critique cut off",
    "empty critique",
    "critique repeats request",
    "critique in prose",
    "critique without verdict",
    "kept",
    "unusable critique",
    "ignored critique",
    "formatting only",
    "revised",
]
"""What search found out about a step, or did with it, in a word of one meaning.

Why a step was pruned:
cut off: sampling reached its token limit. A terminal step so marked had stated an answer before.
empty: it holds no text.
no answer: the solution ends without a final answer.
undecided: the judge cannot tell whether the final answer is right.
dead end: every step that could follow it is pruned.
too deep: the most steps that a solution may have do not end it.
repeated: it says what an earlier step said.
other script: it is in another script than the question.
not kept: siblings were preferred to it.

What a search did:
start: a search with statistics of its own started behind it.
split: it was chosen by highest UCB, and another sibling has more visits.
no contrast: it is the best and the worst of its siblings.
mastered: a state that is passed by, because what followed it was right in the episode before.
unusable reflection: no new solution followed what was said of the wrong one.

What could not be read of the critique of a step: it was cut off, held nothing, repeats what the
critic was shown, was prose alone, or names no verdict.

What became of a step that a reviser might rewrite:
kept: the critic had nothing against it. unusable critique: the critique said nothing.
ignored critique: the reviser repeated it. formatting only: the reviser changed its form alone.
revised: it is the reviser's text.
"""


@dataclass(slots=True)
class Node:
    """One step of a solution.

    parent: index of the node this step continues; `NO_PARENT` for the root.
    text: the step this node adds, its separator included, so texts along a path join by `+`.
    author: who wrote it, and as what; see `Author`.
    note: prose about the step, such as a critique. No search is guided by it; it is taught where it
        belongs to what was written (`credit.solution_pair`), and reports read it.
    mark: what search found out about the step or did with it; see `Mark`.
    terminal: the solution ends here.
    pruned: search does not go here again.
    reward: the outcome of a terminal node: 1.0 right, 0.0 wrong; None elsewhere and if undecided.
    value: score of a process reward model, None if not scored.
    visits: simulations that passed through; own simulations + the children's visits.
    total: sum of those simulations' outcomes, each in [0, 1]; recipes scale it when they read it.
    copies: how many samples had exactly this text.
    tokens: sampled tokens of one copy.
    logprob: their summed log-probability in nats, None if the engine does not say.
    taught: log-probabilities in nats that a teacher gives the tokens of the text, and of the end of
        the turn if the step ended it; empty if none was asked.
    children: indices, in order of creation.
    """

    parent: int
    text: str = ""
    author: Author = "policy"
    note: str = ""
    mark: Mark = ""
    terminal: bool = False
    pruned: bool = False
    reward: float | None = None
    value: float | None = None
    visits: int = 0
    total: float = 0.0
    copies: int = 1
    tokens: int = 0
    logprob: float | None = None
    taught: tuple[float, ...] = ()
    children: list[int] = field(default_factory=list)

    @property
    def mean(self) -> float:
        """Mean outcome in [0, 1] of the simulations through this node; 0 if there were none."""
        return self.total / self.visits if self.visits else 0.0

    def __repr__(self) -> str:
        said = " ".join(self.text.split())
        text = said if len(said) <= SHORT else f"{said[:SHORT]}…"
        end = {1.0: "right", 0.0: "wrong", None: "undecided"}.get(self.reward, f"{self.reward}")
        facts = [
            *([f"{self.author}"] if self.author else []),
            *([f"{self.visits} visits, mean {self.mean:.2f}"] if self.visits else []),
            *([end] if self.terminal else []),
            *([self.mark or "pruned"] if self.pruned or self.mark else []),
        ]
        return f"<Node {text!r}{', ' if facts else ''}{', '.join(facts)}>"


@dataclass(slots=True)
class Tree:
    """The record of a search.

    nodes: index 0 is the root; a parent's index is below its children's.
    tip: the terminal node the recipe chose; `ROOT` if it chose none.
    cost: sampled tokens by role, discarded branches included.
    provenance: recipe, arm, seed and version that grew it; what else a recipe has to tell its own
        next round, such as MARGE's episode.
    cut_short: what ended the search before it was done; empty if it came to its end.
    asked: the question as the policy was asked it; None if in the words of the house.
    """

    problem: Problem
    nodes: list[Node] = field(default_factory=lambda: [Node(NO_PARENT, author="")])
    tip: int = ROOT
    cost: dict[str, int] = field(default_factory=dict)
    provenance: dict[str, str] = field(default_factory=dict)
    cut_short: str = ""
    asked: Prompt | None = None

    def __repr__(self) -> str:
        ends = list(self.leaves())
        right = sum(self.nodes[i].reward == 1.0 for i in ends)
        chosen = "solved" if self.nodes[self.tip].reward == 1.0 else "not solved"
        arm = self.provenance.get("arm", "")
        steps = f"{len(self.nodes) - 1} steps, {right} of {len(ends)} solutions right, {chosen}"
        return f"<Tree {self.problem.id}{f' {arm}' if arm else ''}: {steps}>"

    def _repr_html_(self) -> str:
        """The tree as a notebook shows it. What draws it lies above the floor of trees, so it is
        imported by name, when it is asked for."""
        return str(import_module("whorl.view.notebook").tree_html(self))

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
        """Origin that an example notes: the node, or the preferred and the rejected node."""
        nodes = f"{node}" if rejected is None else f"{node}>{rejected}"
        return f"{self.problem.id}#{self.provenance.get('arm', '')}/{nodes}"

    def first_hand(self, index: int) -> bool:
        """Whether the policy wrote this solution without helpers."""
        return not any(self.nodes[i].author in HELPERS for i in self.path(index))

    def leaves(self) -> Iterator[int]:
        """Indices of terminal nodes, in order of creation."""
        return (i for i, node in enumerate(self.nodes) if node.terminal)

    def to_json(self) -> str:
        """One line of JSON; fields that hold their default are left out."""
        nodes = [_set_fields(node) for node in self.nodes]
        record = {
            "problem": self.problem.record(),
            "tip": self.tip,
            "cost": self.cost,
            "provenance": self.provenance,
            **({"cut_short": self.cut_short} if self.cut_short else {}),
            **({"asked": asdict(self.asked)} if self.asked else {}),
            "nodes": nodes,
        }
        return json.dumps(record, ensure_ascii=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, line: str) -> "Tree":
        """Inverse of `to_json`, also for lines written before there were marks. Raises ValueError
        if `line` is no tree."""
        return cls.from_record(json.loads(line))

    @classmethod
    def from_record(cls, record: Any) -> "Tree":
        """The tree that a line of JSON says, once it is read. Raises ValueError if it is none."""
        try:
            tree = cls(
                Problem(**record["problem"]),
                [Node(**fields) for fields in record["nodes"]],
                record["tip"],
                record["cost"],
                record["provenance"],
                record.get("cut_short", ""),
                Prompt(**record["asked"]) if "asked" in record else None,
            )
            if not 0 <= tree.tip < len(tree.nodes):
                raise ValueError(f"the tip {tree.tip} is not a node")
            _read_notes(tree)
            for index, node in enumerate(tree.nodes):
                node.taught = tuple(node.taught)
                if node.author not in _AUTHORS or node.mark not in _MARKS:
                    raise ValueError(
                        f"node {index} has author {node.author!r} and mark {node.mark!r}"
                    )
            for index, node in enumerate(tree.nodes[1:], start=1):
                if not 0 <= node.parent < index:
                    raise ValueError(f"node {index} has parent {node.parent}")
                tree.nodes[node.parent].children.append(index)
        except KeyError as error:
            raise ValueError(f"not a tree: it has no {error.args[0]}") from error
        except (TypeError, AttributeError) as error:
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


def _read_notes(tree: Tree) -> None:
    """Turn notes of trees written before there were marks into marks, and MARGE's into
    provenance."""
    episode = re.fullmatch(r"episode (\d+): guide (\w+)", tree.nodes[ROOT].note)
    if episode:
        tree.nodes[ROOT].note = ""
        tree.provenance = {**tree.provenance, "episode": episode[1], "guide": episode[2]}
    for node in tree.nodes:
        if node.author == "reflector" and node.pruned and not node.mark:
            node.mark, node.note = "unusable reflection", node.note.partition(": ")[2]
        elif node.author == "reviser" or node.pruned or node.note in _SEARCHED:
            said = node.note.removeprefix("revised: ")
            mark = "too deep" if _TOO_DEEP.fullmatch(said) else _NOTED.get(said)
            if mark and not node.mark:
                node.mark, node.note = mark, ""


_AUTHORS = frozenset(get_args(Author))
_MARKS = frozenset(get_args(Mark))
_TOO_DEEP = re.compile(r"not finished (?:after \d+ steps|within the depth limit)")
_SEARCHED: dict[str, Mark] = {
    "a search starts here": "start",
    "highest UCB and most visits choose differently": "split",
    "no contrast": "no contrast",
}
_NOTED: dict[str, Mark] = _SEARCHED | {
    "cut off at the token limit": "cut off",
    "empty step": "empty",
    "no final answer": "no answer",
    "undecided answer": "undecided",
    "every continuation is a dead end": "dead end",
    "repeats an earlier step": "repeated",
    "in another script": "other script",
    "neither best nor worst": "not kept",
    "kept": "kept",
    "unusable critique": "unusable critique",
    "ignored critique": "ignored critique",
    "formatting only": "formatting only",
    "revised": "revised",
}

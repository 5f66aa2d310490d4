"""RFT: rejection-sampling fine-tuning (2308.01825), the baseline that needs no tree.

Sample whole solutions, keep the distinct ones that end in the right answer, fine-tune on them. With
`role="reviser"` it is the black-box baseline: a stronger model simply writes the solutions.

Differences from the paper
1. Distinct means distinct text; the paper compares lists of equations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from whorl import prompts
from whorl.ask import Asking, Role
from whorl.credit import backup_all, ended, first_right
from whorl.example import Likelihood, Objective, Weighted
from whorl.problem import Problem
from whorl.prompts.wording import WHORL, Wording
from whorl.recipe import Harvest, Start
from whorl.rollout import Sampling, Voice, sample
from whorl.tree import Tree


@dataclass(frozen=True, slots=True)
class Rft:
    """RFT's settings.

    samples: solutions per problem.
    keep: distinct right ones harvested per problem at most.
    role: who solves: the policy, or the reviser as a black box.
    words: in which models are asked.
    """

    objective: ClassVar[Objective] = Likelihood()
    starts: ClassVar[Start] = "first"  # as ReST-EM (2312.06585), which repeats RFT

    sampling: Sampling = Sampling(temperature=0.7)  # noqa: RUF009
    samples: int = 8
    keep: int = 4
    role: Literal["policy", "reviser"] = "policy"
    words: Wording = WHORL

    def __post_init__(self) -> None:
        if min(self.samples, self.keep) < 1:
            raise ValueError("samples and keep must be at least 1")

    @property
    def roles(self) -> Sequence[Role]:
        """The role that solves."""
        return (self.role,)

    @property
    def samples_at_most(self) -> int:
        """The number of samples, exactly."""
        return self.samples

    def grow(self, problem: Problem, last: Tree | None = None) -> Asking[Tree]:
        """Sample `samples` solutions; those that begin alike share nodes."""
        tree = prompts.planted(Tree(problem), self.words)
        voice = Voice(prompts.plain(tree), self.role, self.role)
        ends = yield from sample(tree, self.samples, self.sampling, voice=voice)
        backup_all(tree, ends, dead_ends="leaf")
        tree.tip = first_right(tree)
        return tree

    def harvest(self, tree: Tree) -> Harvest:
        """The first `keep` distinct right solutions that `role` wrote alone."""
        right = [
            leaf
            for leaf in tree.leaves()
            if tree.nodes[leaf].reward == 1.0 and self._own(tree, leaf)
        ]
        prompt = prompts.plain(tree)
        kept = {tree.text(leaf).rstrip(): leaf for leaf in reversed(right)}
        chosen = list(reversed(kept.items()))[: self.keep]
        examples = tuple(
            Weighted(prompt, text, ended=ended(tree.nodes[i]), origin=tree.origin(i))
            for text, i in chosen
        )
        dropped = {"more than `keep` right ones": len(kept) - len(chosen)}
        dropped["no right solution"] = 0 if right else 1
        return Harvest(examples, {reason: count for reason, count in dropped.items() if count})

    def _own(self, tree: Tree, leaf: int) -> bool:
        """Whether `role` wrote this solution alone."""
        if self.role == "policy":
            return tree.first_hand(leaf)
        return all(tree.nodes[step].author == self.role for step in tree.path(leaf))

    def tally(self, tree: Tree) -> Mapping[str, int]:
        """Counts of samples by outcome."""
        counts = {"right": 0, "wrong": 0, "no answer": 0}
        for node in tree.nodes[1:]:
            if node.terminal:
                counts["right" if node.reward == 1.0 else "wrong"] += node.copies
            elif node.pruned:
                counts["no answer"] += node.copies
        return counts

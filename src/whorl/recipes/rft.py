"""RFT: rejection-sampling fine-tuning (2308.01825), the baseline that needs no tree.

Sample whole solutions, keep the distinct ones that end in the right answer, fine-tune on them.

Differences from the paper
1. Distinct means distinct text; the paper compares lists of equations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from whorl import prompts
from whorl.ask import Asking, Role
from whorl.credit import backup_all, distinct_texts, ended, first_right, outcomes
from whorl.example import Likelihood, Objective, Weighted
from whorl.problem import Problem
from whorl.prompts.wording import WHORL, Wording
from whorl.recipe import Harvest, Start
from whorl.rollout import Sampling, sample
from whorl.search import within_budget
from whorl.tree import Tree


@dataclass(frozen=True, slots=True)
class Rft:
    """RFT's settings.

    samples: solutions per problem.
    keep: distinct right ones harvested per problem at most.
    words: in which models are asked.
    """

    roles: ClassVar[Sequence[Role]] = ("policy",)
    objective: ClassVar[Objective] = Likelihood()
    starts: ClassVar[Start] = "first"  # as ReST-EM (2312.06585), which repeats RFT

    sampling: Sampling = Sampling(temperature=0.7)  # noqa: RUF009
    samples: int = 8
    keep: int = 4
    words: Wording = WHORL

    def __post_init__(self) -> None:
        if min(self.samples, self.keep) < 1:
            raise ValueError("samples and keep must be at least 1")

    @property
    def samples_at_most(self) -> int:
        """The number of samples, exactly."""
        return self.samples

    def grow(self, problem: Problem, last: Tree | None = None) -> Asking[Tree]:
        """Sample `samples` solutions; those that begin alike share nodes."""
        tree = prompts.planted(Tree(problem), self.words)
        with within_budget(tree):
            ends = yield from sample(tree, self.samples, self.sampling)
            backup_all(tree, ends, dead_ends="leaf")
        tree.tip = first_right(tree)
        return tree

    def harvest(self, tree: Tree) -> Harvest:
        """The first `keep` distinct right solutions that the policy wrote alone."""
        right = [
            leaf
            for leaf in tree.leaves()
            if tree.nodes[leaf].reward == 1.0 and tree.first_hand(leaf)
        ]
        prompt = prompts.plain(tree)
        kept = distinct_texts(tree, right)
        chosen = list(kept.items())[: self.keep]
        examples = tuple(
            Weighted(prompt, text, ended=ended(tree.nodes[i]), origin=tree.origin(i))
            for text, i in chosen
        )
        dropped = {"more than `keep` right ones": len(kept) - len(chosen)}
        dropped["no right solution"] = 0 if right else 1
        return Harvest(examples, {reason: count for reason, count in dropped.items() if count})

    def tally(self, tree: Tree) -> Mapping[str, int]:
        """Counts of samples by outcome."""
        return outcomes(tree)

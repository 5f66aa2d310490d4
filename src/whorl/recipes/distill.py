"""Distillation by text (sequence-level, 1606.07947): the teacher solves, the student learns that.

A stronger model writes solutions of the plain question; those that end in the right answer, or all
of them, are what the student is fine-tuned on. What any search with a critic has to beat, since a
model that can criticise can also solve.

Differences from the paper
1. The teacher samples; the paper takes the result of its beam search.
2. By default only solutions that are verified are learned (`verified`); the paper verifies none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from whorl import prompts
from whorl.ask import Asking, Role
from whorl.credit import backup_all, distinct_texts, first_right, outcomes
from whorl.example import Likelihood, Objective, Weighted
from whorl.problem import Problem
from whorl.prompts.wording import WHORL, Wording
from whorl.recipe import Harvest, Start
from whorl.rollout import Sampling, Voice, sample
from whorl.search import within_budget
from whorl.tree import Mark, Tree

_OPEN: tuple[Mark, ...] = ("cut off", "undecided")  # the second may hide the first


@dataclass(frozen=True, slots=True)
class Distill:
    """Settings of distillation by text.

    samples: solutions per problem.
    keep: distinct ones harvested per problem at most.
    verified: learn right solutions alone; without, whatever the teacher wrote, cut off or not.
    words: in which models are asked.
    """

    roles: ClassVar[Sequence[Role]] = ("teacher",)
    objective: ClassVar[Objective] = Likelihood()
    starts: ClassVar[Start] = "first"  # the teacher stays the same: rounds add to what it said

    sampling: Sampling = Sampling(temperature=0.7)  # noqa: RUF009
    samples: int = 4
    keep: int = 4
    verified: bool = True
    words: Wording = WHORL

    def __post_init__(self) -> None:
        if min(self.samples, self.keep) < 1:
            raise ValueError("samples and keep must be at least 1")

    @property
    def samples_at_most(self) -> int:
        """The number of samples, exactly."""
        return self.samples

    def grow(self, problem: Problem, last: Tree | None = None) -> Asking[Tree]:
        """Have the teacher write `samples` solutions; those that begin alike share nodes."""
        tree = prompts.planted(Tree(problem), self.words)
        voice = Voice(prompts.plain(tree), "teacher", "teacher")
        with within_budget(tree):
            ends = yield from sample(tree, self.samples, self.sampling, voice=voice)
            backup_all(tree, ends, dead_ends="leaf")
        tree.tip = first_right(tree)
        return tree

    def harvest(self, tree: Tree) -> Harvest:
        """The first `keep` distinct solutions that the teacher wrote alone."""
        ends = [end for end in range(1, len(tree.nodes)) if self._wanted(tree, end)]
        kept = distinct_texts(tree, ends)
        chosen = list(kept.items())[: self.keep]
        prompt = prompts.plain(tree)
        examples = tuple(
            Weighted(prompt, text, ended=tree.nodes[i].mark not in _OPEN, origin=tree.origin(i))
            for text, i in chosen
        )
        dropped = {"more than `keep`": len(kept) - len(chosen)}
        dropped["no right solution" if self.verified else "no solution"] = int(not ends)
        return Harvest(examples, {reason: count for reason, count in dropped.items() if count})

    def _wanted(self, tree: Tree, end: int) -> bool:
        """Whether a node ends a solution by the teacher that is to be learned."""
        node = tree.nodes[end]
        if node.children or any(tree.nodes[i].author != "teacher" for i in tree.path(end)):
            return False
        if self.verified:
            return node.terminal and node.reward == 1.0
        return bool(tree.text(end).strip())

    def tally(self, tree: Tree) -> Mapping[str, int]:
        """Counts of samples by outcome."""
        return outcomes(tree)

"""Step-level DPO: the baseline of MCTS process supervision (2501.01478, table 1).

Search a problem by MCTS. Wherever the next steps after a prefix of the best path did not do equally
well, the best of them is preferred to the worst. The pairs are learned by direct preference
optimization, as in Step-DPO (2406.18629).

Differences from the paper
1. The paper names the baseline and says no more; all of this is ours.
2. The search is one tree per problem. To compare it with process supervision at equal cost,
   harvest the trees that one grew: then its pairs are those of every prefix searched there.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from whorl import prompts
from whorl.ask import Asking, Role
from whorl.credit import (
    best_path,
    ended,
    require_visits,
    state_prompt,
    step_text,
    whole_step,
)
from whorl.example import Objective, Pair, Preference
from whorl.problem import Problem
from whorl.prompts.wording import WHORL, Wording
from whorl.recipe import Harvest, Start
from whorl.rollout import Sampling
from whorl.search import Uct, mcts, within_budget
from whorl.tree import ROOT, Node, Tree


@dataclass(frozen=True, slots=True)
class StepDpo:
    """The settings of step-level DPO.

    uct, sampling: the search.
    beta: inverse temperature of DPO.
    words: in which models are asked.
    """

    roles: ClassVar[Sequence[Role]] = ("policy",)
    starts: ClassVar[Start] = "last"  # as process supervision, whose baseline it is

    uct: Uct = Uct(constant=math.sqrt(2), wrong=0.0, children=4)  # noqa: RUF009
    sampling: Sampling = Sampling(top_p=0.95)  # noqa: RUF009
    beta: float = 0.1
    words: Wording = WHORL

    def __post_init__(self) -> None:
        if self.beta <= 0:
            raise ValueError("beta must be above 0")

    @property
    def samples_at_most(self) -> int:
        """The samples if every simulation expands to full depth."""
        return self.uct.simulations * self.uct.depth * self.uct.children

    @property
    def tokens_at_most(self) -> int:
        """The tokens of so many steps, as all samples are."""
        return self.samples_at_most * self.sampling.step_at_most

    @property
    def objective(self) -> Objective:
        """Preference between steps."""
        return Preference(beta=self.beta)

    def grow(self, problem: Problem, last: Tree | None = None) -> Asking[Tree]:
        """Search, and choose the best path."""
        tree = prompts.planted(Tree(problem), self.words)
        with within_budget(tree):
            yield from mcts(tree, self.sampling, self.uct)
        tree.tip = self.choose(tree)
        return tree

    def choose(self, tree: Tree) -> int:
        """The end of the best path among the visited solutions."""
        return best_visited(tree)

    def harvest(self, tree: Tree) -> Harvest:
        """At most one pair per prefix of the best path.

        Trees of other recipes will do if their simulations counted visits. Raises UserError for
        trees without visits.
        """
        require_visits(tree, "step-level DPO")
        prefixes = prefixes_of_best(tree)
        pairs = [pair for at in prefixes if (pair := self._pair(tree, at))]
        dropped = {"no siblings that differ": len(prefixes) - len(pairs)}
        return Harvest(tuple(pairs), {reason: count for reason, count in dropped.items() if count})

    def tally(self, tree: Tree) -> Mapping[str, int]:
        """Counts: the best solution's outcome, prefixes of its path, and prefixes that give a
        pair."""
        prefixes = prefixes_of_best(tree)
        outcome = {1.0: "right", 0.0: "wrong", None: "no solution"}[tree.nodes[tree.tip].reward]
        pairs = sum(self._pair(tree, at) is not None for at in prefixes)
        return {outcome: 1, "prefixes": len(prefixes), "pairs": pairs}

    def _pair(self, tree: Tree, at: int) -> Pair | None:
        """Pair of the best and the worst next step after `at`, of equal ones the more visited; None
        if all did equally well. Steps without visits, cut off, or ended without an answer are left
        out."""
        nodes = tree.nodes
        steps = [c for c in nodes[at].children if self._usable(nodes[c])]
        if not steps:
            return None
        chosen = max(steps, key=lambda c: (nodes[c].mean, nodes[c].visits))
        rejected = min(steps, key=lambda c: (nodes[c].mean, -nodes[c].visits))
        if nodes[chosen].mean == nodes[rejected].mean:
            return None
        return Pair(
            state_prompt(tree, at),
            step_text(nodes[chosen]),
            step_text(nodes[rejected]),
            chosen_ended=ended(nodes[chosen]),
            rejected_ended=ended(nodes[rejected]),
            origin=tree.origin(chosen, rejected),
        )

    def _usable(self, step: Node) -> bool:
        whole = whole_step(step, self.sampling.steps.glue)
        return step.author == "policy" and step.visits > 0 and whole


def best_visited(tree: Tree) -> int:
    """The end of the best path among the visited solutions; the root if none was visited."""
    return best_path(tree, (leaf for leaf in tree.leaves() if tree.nodes[leaf].visits))


def prefixes_of_best(tree: Tree) -> list[int]:
    """Nodes along the best path without its end: where searches started, if the tree was searched
    again and again; else the path to the tip, or to the `best_visited` end if the tip has no
    visits."""
    starts = [i for i, node in enumerate(tree.nodes) if node.author == "spine"]
    if starts:
        return [ROOT, *starts]
    end = tree.tip if tree.tip != ROOT and tree.nodes[tree.tip].visits else best_visited(tree)
    return [ROOT, *tree.path(end)[:-1]] if end != ROOT else []

"""Tree-GRPO (2509.21240): whole solutions that share their beginnings, compared within a tree and
between trees.

Sample some solutions, then more from random steps of each. A solution's advantage is its reward
among those that begin with the same step, plus its reward among all of the question, each over the
standard deviation. It is the same for all of its tokens, and learned as GRPO does.

Differences from the paper
1. A node is a step of a solution; the paper's is a step of an agent: thought, action, observation.
2. A tree is what grows from one first step, so that trees which another recipe grew can be read;
   new rolls start behind a step, never from the question, and solutions with equal first steps are
   one tree. The paper has `chains` roots.
3. The reward is 1 or 0 by the final answer; the paper's code adds terms for the form.
4. One step from the policy that sampled, so the importance ratio is 1 and nothing is clipped.
5. All ends of a tree are kept; the code keeps `1 + forks` of each at random, which is all of them
   in its runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from whorl import prompts
from whorl.ask import Asking, Role, together
from whorl.credit import first_right
from whorl.credit.branches import ends_of, relative_advantages, taught_ends, tell_apart
from whorl.example import Likelihood, Objective
from whorl.problem import Problem
from whorl.prompts.wording import WHORL, Wording
from whorl.recipe import Harvest, Start
from whorl.rollout import Sampling, sample
from whorl.search import within_budget
from whorl.tree import ROOT, Tree


@dataclass(frozen=True, slots=True)
class TreeGrpo:
    """Tree-GRPO's settings.

    chains: solutions to begin with.
    forks: steps of each tree, drawn with replacement, that are rolled to the end again, per round.
    rounds: of forking.
    kl: coefficient of the penalty.
    words: in which models are asked.
    """

    roles: ClassVar[Sequence[Role]] = ("policy",)
    starts: ClassVar[Start] = "last"

    sampling: Sampling = Sampling(temperature=1.0)  # noqa: RUF009
    chains: int = 2
    forks: int = 2
    rounds: int = 1
    kl: float = 0.001
    words: Wording = WHORL

    def __post_init__(self) -> None:
        if self.chains < 1 or min(self.forks, self.rounds) < 0:
            raise ValueError("chains must be at least 1, forks and rounds not negative")
        if self.kl < 0:
            raise ValueError("kl must not be negative")

    @property
    def samples_at_most(self) -> int:
        """Solutions in all."""
        return self.chains * (1 + self.forks * self.rounds)

    @property
    def objective(self) -> Objective:
        """As GRPO's: mean over completions of each one's mean over tokens, with the k3 estimate of
        the KL divergence."""
        return Likelihood(kl=self.kl, penalty="k3", average="completion")

    def grow(self, problem: Problem, last: Tree | None = None) -> Asking[Tree]:
        """Sample the chains, then roll random steps of each tree to the end."""
        tree = prompts.planted(Tree(problem), self.words)
        rng = Random(problem.id)
        with within_budget(tree):
            yield from sample(tree, self.chains, self.sampling)
            for _ in range(self.rounds):
                starts = self._forks(tree, rng)
                rolls = [sample(tree, 1, self.sampling, at=at) for at in starts]
                yield from together(rolls)
        tree.tip = first_right(tree)
        return tree

    def _forks(self, tree: Tree, rng: Random) -> list[int]:
        """Random steps to go on from: `forks` for every solution that began a tree."""
        found = []
        for first in tree.nodes[ROOT].children:
            inner = [
                i
                for i, node in enumerate(tree.nodes)
                if i and node.children and tree.path(i)[0] == first
            ]
            if inner:
                found += rng.choices(inner, k=self.forks)
        return found

    def harvest(self, tree: Tree) -> Harvest:
        """Every solution with its advantage, if there are right and wrong ones.

        Takes trees of any recipe in which the policy sampled.
        """
        ends = ends_of(tree)
        if not tell_apart(ends):
            return Harvest((), {"all right or all wrong" if ends else "no end": 1})
        return Harvest(tuple(taught_ends(tree, ends, relative_advantages(ends))), {})

    def tally(self, tree: Tree) -> Mapping[str, int]:
        """Counts: trees, their ends by outcome, and whether these tell anything."""
        ends = ends_of(tree)
        right = sum(end.copies for end in ends if end.reward == 1.0)
        return {
            "trees": len({end.path[0] for end in ends}),
            "right": right,
            "wrong": sum(end.copies for end in ends) - right,
            "questions that tell": int(tell_apart(ends)),
        }

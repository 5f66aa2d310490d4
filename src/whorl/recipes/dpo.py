"""DPO (2305.18290) on pairs of whole solutions: what MARGE is compared with.

Sample solutions of the plain question, pair a right one with a wrong one, and train the policy to
prefer the first. The pairs are its own samples, judged by their final answers.

Differences from the paper
1. The preference is the verifier's; the paper's come from people or a reward model.
2. The right and the wrong solution of a pair are drawn at random; each is used once.
3. A solution that was cut off is wrong, and is never taught to end there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from whorl import prompts
from whorl.ask import Asking, Role
from whorl.credit import first_right, preference_pairs, root_completions, usability
from whorl.example import Objective, Preference
from whorl.problem import Problem
from whorl.prompts.wording import WHORL, Wording
from whorl.recipe import Harvest, Start
from whorl.rollout import Sampling, complete
from whorl.search import within_budget
from whorl.tree import ROOT, Tree


@dataclass(frozen=True, slots=True)
class Dpo:
    """DPO's settings.

    samples: solutions per problem; 16 is the size of MARGE's first pool.
    pairs: harvested per problem at most.
    beta: inverse temperature of the implicit reward.
    words: in which models are asked.
    """

    roles: ClassVar[Sequence[Role]] = ("policy",)
    starts: ClassVar[Start] = "last"  # as MARGE, whose baseline it is

    sampling: Sampling = Sampling(temperature=0.8, top_p=0.95, solution_tokens=2048)  # noqa: RUF009
    samples: int = 16
    pairs: int = 1
    beta: float = 0.1
    words: Wording = WHORL

    def __post_init__(self) -> None:
        if self.samples < 2 or self.pairs < 1:
            raise ValueError("samples must be at least 2, and pairs at least 1")
        if self.beta <= 0:
            raise ValueError("beta must be above 0")

    @property
    def samples_at_most(self) -> int:
        """The number of samples, exactly."""
        return self.samples

    @property
    def objective(self) -> Objective:
        """Plain DPO."""
        return Preference(beta=self.beta)

    def grow(self, problem: Problem, last: Tree | None = None) -> Asking[Tree]:
        """Sample solutions."""
        tree = prompts.planted(Tree(problem), self.words)
        with within_budget(tree):
            yield from complete(tree, ROOT, self.samples, self.sampling)
        tree.tip = first_right(tree)
        return tree

    def harvest(self, tree: Tree) -> Harvest:
        """Random pairs of a right and a wrong solution.

        Takes any tree of whole solutions that the policy wrote after the plain question, such as
        `Rft`'s, `Grpo`'s or `Marge`'s; raises `UserError` for others.
        """
        group = root_completions(tree)
        found = usability(group)
        if found != "usable":
            return Harvest((), {found: 1})
        rng = Random(tree.problem.id)
        return Harvest(tuple(preference_pairs(tree, ROOT, group, most=self.pairs, rng=rng)), {})

    def tally(self, tree: Tree) -> Mapping[str, int]:
        """Counts one for the group: whether it was usable, and if not, why."""
        return {usability(root_completions(tree)): 1}

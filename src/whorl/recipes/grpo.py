"""GRPO (2402.03300): group advantage of whole solutions; what MARGE is compared with.

Sample a group of solutions of the plain question; a solution's advantage is its reward minus the
group's mean, over the group's standard deviation. REINFORCE: each solution's likelihood is raised
or lowered by its advantage, with a penalty for leaving the reference model.

Differences from the paper
1. Without `clip` each step counts as one from the policy that sampled, whose importance ratio is 1:
   a longer training on one round's examples is then off-policy and not corrected for.
2. 16 samples, the size of MARGE's first pool, and its temperature; the paper samples 64.
3. The reward is 1 or 0 by the final answer; the paper trains a reward model.
4. A solution that was cut off is wrong, and is never taught to end there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from whorl import prompts
from whorl.ask import Asking, Role
from whorl.credit import first_right, reinforced, root_completions, usability
from whorl.example import Likelihood, Objective
from whorl.problem import Problem
from whorl.prompts.wording import WHORL, Wording
from whorl.recipe import Harvest, Start
from whorl.rollout import Sampling, complete
from whorl.search import within_budget
from whorl.tree import ROOT, Tree


@dataclass(frozen=True, slots=True)
class Grpo:
    """GRPO's settings.

    samples: solutions per problem, the group.
    kl: coefficient of the penalty.
    clip: of the importance ratio, in (0, 1); the paper's is 0.2. None: no ratio.
    words: in which models are asked.
    """

    roles: ClassVar[Sequence[Role]] = ("policy",)
    starts: ClassVar[Start] = "last"  # as MARGE, whose baseline it is

    sampling: Sampling = Sampling(temperature=0.8, top_p=0.95, solution_tokens=2048)  # noqa: RUF009
    samples: int = 16
    kl: float = 0.04
    clip: float | None = field(default=None, metadata={"quiet": True})
    words: Wording = WHORL

    def __post_init__(self) -> None:
        if self.samples < 2:
            raise ValueError("samples must be at least 2")
        if self.kl < 0:
            raise ValueError("kl must not be negative")

    @property
    def samples_at_most(self) -> int:
        """The number of samples, exactly."""
        return self.samples

    @property
    def objective(self) -> Objective:
        """Likelihood: mean over completions of each one's mean over tokens, with the k3 estimate of
        the KL divergence (2402.03300, eq. 3 and 4)."""
        return Likelihood(kl=self.kl, penalty="k3", average="completion", clip=self.clip)

    def grow(self, problem: Problem, last: Tree | None = None) -> Asking[Tree]:
        """Sample the group."""
        tree = prompts.planted(Tree(problem), self.words)
        with within_budget(tree):
            yield from complete(tree, ROOT, self.samples, self.sampling)
        tree.tip = first_right(tree)
        return tree

    def harvest(self, tree: Tree) -> Harvest:
        """Every solution with its advantage, if there are right and wrong ones.

        Takes any tree of whole solutions that the policy wrote after the plain question, such as
        `Rft`'s, `Dpo`'s or `Marge`'s; raises `UserError` for others.
        """
        group = root_completions(tree)
        found = usability(group)
        if found != "usable":
            return Harvest((), {found: 1})
        return Harvest(tuple(reinforced(tree, ROOT, group)), {})

    def tally(self, tree: Tree) -> Mapping[str, int]:
        """Counts one for the group: whether it was usable, and if not, why."""
        return {usability(root_completions(tree)): 1}

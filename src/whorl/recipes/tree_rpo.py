"""TreeRPO (2506.05183): a step is worth how much better it does than its siblings.

Sample some next steps after every prefix, to a fixed depth; the last ones run to the end of the
solution. A step's reward is the mean of its children's, an end's is its outcome. Steps after one
prefix are a group: each is learned by its advantage in that, as GRPO does with whole solutions.

Differences from the paper
1. The paper scales advantages by a group normalisation of its own, for rewards between 0 and 1,
   whose formula was not to be read: `scale` is that of a coin with the group's mean, the group's
   standard deviation, or none.
2. 4 next steps instead of 8, so 64 ends at most and not 512; the penalty is ours.
3. Equal steps are one node and as many examples.
4. One step from the policy that sampled, so the importance ratio is 1 and nothing is clipped.
5. A step as good as its siblings on average is left out: it would only add to the number of
   completions that the loss is divided by, and be held to the reference model.
6. An end that was cut off or states no answer is wrong; one that cannot be judged is left out, with
   every step that only such ends follow.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import sqrt
from statistics import mean, pstdev
from typing import ClassVar, Literal

from whorl import prompts
from whorl.ask import Asking, Role, together
from whorl.credit import first_right, outcome
from whorl.credit.branches import ROLLED, taught_steps
from whorl.example import Likelihood, Objective, Weighted
from whorl.problem import Problem
from whorl.prompts.wording import WHORL, Wording
from whorl.recipe import Harvest, Start
from whorl.rollout import Sampling, complete
from whorl.search import expand, within_budget
from whorl.steps import Tokens
from whorl.tree import ROOT, Tree


@dataclass(frozen=True, slots=True)
class TreeRpo:
    """TreeRPO's settings.

    children: next steps sampled after a prefix.
    depth: of the tree.
    scale: what advantages are divided by: `coin`, sqrt(mean (1 - mean)) of the group's rewards;
        `std`, their population standard deviation; `none`.
    kl: coefficient of the penalty.
    words: in which models are asked.
    """

    roles: ClassVar[Sequence[Role]] = ("policy",)
    starts: ClassVar[Start] = "last"

    sampling: Sampling = Sampling(  # noqa: RUF009
        temperature=1.0, step_tokens=384, steps=Tokens(384)
    )
    children: int = 4
    depth: int = 3
    scale: Literal["coin", "std", "none"] = "coin"
    kl: float = 0.04
    words: Wording = WHORL

    def __post_init__(self) -> None:
        if self.children < 2 or self.depth < 1:
            raise ValueError("children must be at least 2, and depth at least 1")
        if self.kl < 0:
            raise ValueError("kl must not be negative")

    @property
    def samples_at_most(self) -> int:
        """Steps of a full tree."""
        return sum(self.children**depth for depth in range(1, self.depth + 1))

    @property
    def objective(self) -> Objective:
        """As GRPO's, of steps."""
        return Likelihood(kl=self.kl, penalty="k3", average="completion")

    def grow(self, problem: Problem, last: Tree | None = None) -> Asking[Tree]:
        """Sample the tree, level by level."""
        tree = prompts.planted(Tree(problem), self.words)
        with within_budget(tree):
            yield from self._spread(tree, ROOT, self.depth)
        tree.tip = first_right(tree)
        return tree

    def _spread(self, tree: Tree, at: int, depth: int) -> Asking[None]:
        if depth == 1:  # what is left of a solution is one step, which its end belongs to
            yield from complete(tree, at, self.children, self.sampling)
            return
        steps = yield from expand(tree, at, self.sampling, self.children)
        going_on = [s for s in steps if not tree.nodes[s].terminal and not tree.nodes[s].pruned]
        yield from together([self._spread(tree, step, depth - 1) for step in going_on])

    def harvest(self, tree: Tree) -> Harvest:
        """Every step of a group whose rewards differ, with its advantage.

        Takes trees of any recipe in which the policy sampled.
        """
        rewards = step_rewards(tree)
        dropped: Counter[str] = Counter()
        examples: list[Weighted] = []
        for at in range(len(tree.nodes)):
            group = [step for step in tree.nodes[at].children if step in rewards]
            advantages = self._advantages(tree, group, rewards)
            dropped["group of equal rewards"] += bool(group) and not advantages
            examples += self._taught(tree, advantages)
        return Harvest(tuple(examples), {why: count for why, count in dropped.items() if count})

    def _advantages(
        self, tree: Tree, group: Sequence[int], rewards: Mapping[int, Fraction]
    ) -> dict[int, float]:
        """Advantage of each step of a group; none if all do equally well."""
        samples = [rewards[step] for step in group for _ in range(tree.nodes[step].copies)]
        if len(set(samples)) < 2:
            return {}
        base = mean(samples)
        spread = {"coin": sqrt(base * (1 - base)), "std": float(pstdev(samples)), "none": 1.0}
        return {step: float(rewards[step] - base) / spread[self.scale] for step in group}

    def _taught(self, tree: Tree, advantages: Mapping[int, float]) -> Iterator[Weighted]:
        for step, weight in advantages.items():
            for one in taught_steps(tree, {step: weight}):
                yield from [one] * tree.nodes[step].copies

    def tally(self, tree: Tree) -> Mapping[str, int]:
        """Counts: solved questions, steps, and groups whose rewards differ."""
        rewards = step_rewards(tree)
        groups = [
            {rewards[step] for step in node.children if step in rewards} for node in tree.nodes
        ]
        return {
            "solved": int(tree.tip != ROOT),
            "steps": len(rewards),
            "groups that tell": sum(len(group) > 1 for group in groups),
        }


def step_rewards(tree: Tree) -> dict[int, Fraction]:
    """The reward of each step that the policy sampled: the outcome of an end, the mean over its
    children's samples elsewhere. Exact, so that siblings which do equally well differ by 0."""
    found: dict[int, Fraction] = {}
    for index in range(len(tree.nodes) - 1, ROOT, -1):  # children come after their parents
        node = tree.nodes[index]
        if node.author not in ROLLED:
            continue
        told = [c for c in node.children if c in found]
        if told:
            found[index] = mean(found[c] for c in told for _ in range(tree.nodes[c].copies))
        elif not node.children and (reward := outcome(node)) is not None:
            found[index] = Fraction(reward)
    return found

"""TreeRL (2506.11902): chains that fork where the policy was least certain, and steps worth what
they add.

Sample some solutions; of each take the steps that were least likely and sample again from before
them. A step's value is the share of right ends below it. Its advantage is how much better it is
than the question and than the step before, over the root of the number of ends, and it is learned
as REINFORCE does.

Differences from the paper
1. A solution is cut in steps of 16 tokens (`sampling.steps`), and forks stand before steps; the
   paper forks at tokens, which is `sampling.steps = {name = "tokens", size = 1}`, an ask each.
2. Steps with the end of a solution, and first steps, start no fork. The paper leaves out what
   follows "answer" or "conclusion", and the first token of a branch.
3. Equal steps are one node, so its ends are counted together.
4. A step is one example, weighted by the number of trained ends below it times its advantage, of
   which V and n are over all ends, trained or not; the paper trains each end's whole path, so that
   the sum is the same. The mean is over distinct tokens.
5. One step from the policy that sampled: no ratio and no clipping; a penalty of `kl`, where the
   paper has none, since likelihood has no lower bound where the weight is negative.
6. A cut-off end, or one without an answer, is wrong. The code's division before differences are
   taken, and its leave-one-out, are not here: advantages are the paper's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from whorl import prompts
from whorl.ask import Asking, Role, together
from whorl.credit import first_right
from whorl.credit.branches import (
    End,
    below,
    ends_of,
    step_advantages,
    taught_steps,
    tell_apart,
)
from whorl.example import Likelihood, Objective
from whorl.problem import Problem
from whorl.prompts.wording import WHORL, Wording
from whorl.recipe import Harvest, Start
from whorl.rollout import Sampling
from whorl.search import chain, within_budget
from whorl.search.selection import surprise
from whorl.steps import Tokens
from whorl.tree import ROOT, Tree


@dataclass(frozen=True, slots=True)
class TreeRl:
    """TreeRL's settings.

    chains: solutions to begin with.
    forks: steps of each chain's tree that are sampled again, per round.
    rounds: of forking.
    again: continuations from each fork.
    traces: distinct ends that are trained on, drawn at random, a right one among them if there is
        one.
    depth: steps of a solution at most.
    kl: coefficient of the penalty.
    words: in which models are asked.
    """

    roles: ClassVar[Sequence[Role]] = ("policy",)
    starts: ClassVar[Start] = "last"
    by_likelihood: ClassVar[str] = "forks at surprising steps"

    sampling: Sampling = Sampling(  # noqa: RUF009
        temperature=1.2, top_p=0.95, solution_tokens=8192, steps=Tokens(16)
    )
    chains: int = 6
    forks: int = 2
    rounds: int = 1
    again: int = 2
    traces: int = 16
    depth: int = 512
    kl: float = 0.01
    words: Wording = WHORL

    def __post_init__(self) -> None:
        for name in ("chains", "again", "traces", "depth"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        if min(self.forks, self.rounds) < 0 or self.kl < 0:
            raise ValueError("forks, rounds and kl must not be negative")

    @property
    def samples_at_most(self) -> int:
        """Steps of all chains, if each takes `depth` of them."""
        return self.chains * (1 + self.again * self.forks * self.rounds) * self.depth

    @property
    def tokens_at_most(self) -> int:
        """The tokens of so many steps, as all samples are."""
        return self.samples_at_most * self.sampling.step_at_most

    @property
    def objective(self) -> Objective:
        """REINFORCE: weighted likelihood, a mean over tokens, with the k3 estimate of the KL
        divergence."""
        return Likelihood(kl=self.kl, penalty="k3", average="token")

    def grow(self, problem: Problem, last: Tree | None = None) -> Asking[Tree]:
        """Sample the chains, then fork them."""
        tree = prompts.planted(Tree(problem), self.words)
        with within_budget(tree):
            starts = [ROOT] * self.chains
            for _ in range(self.rounds + 1):
                grown = [chain(tree, at, self.sampling, self.depth) for at in starts]
                yield from together(grown)
                starts = [fork for fork in self._forks(tree) for _ in range(self.again)]
        tree.tip = first_right(tree)
        return tree

    def _forks(self, tree: Tree) -> list[int]:
        """Where to sample again: before the least likely steps of what grew from each first
        step, `forks` for every chain of it."""
        found = []
        for first in tree.nodes[ROOT].children:
            inner = [
                i
                for i, node in enumerate(tree.nodes)
                if node.children and node.parent != ROOT and i and tree.path(i)[0] == first
            ]
            inner.sort(key=lambda i: -surprise(tree.nodes[i]))
            found += inner[: self.forks * tree.nodes[first].copies]
        return [tree.nodes[i].parent for i in found]

    def harvest(self, tree: Tree) -> Harvest:
        """Every step on the way to the traces, with its advantage.

        Takes trees of any recipe in which the policy sampled.
        """
        ends = ends_of(tree)
        if not tell_apart(ends):
            return Harvest((), {"all right or all wrong" if ends else "no end": 1})
        advantages = step_advantages(tree, ends)
        trained = below(self._traces(tree, ends))
        weights = {
            step: trained[step].count * advantage
            for step, advantage in advantages.items()
            if step in trained
        }
        return Harvest(tuple(taught_steps(tree, weights)), {})

    def _traces(self, tree: Tree, ends: Sequence[End]) -> list[End]:
        """At most `traces` ends at random, in their order, a right one among them if there is
        one."""
        rng = Random(tree.problem.id)
        right = [end for end in ends if end.reward == 1.0]
        chosen = set(rng.sample(right, 1)) if right else set()
        others = [end for end in ends if end not in chosen]
        chosen |= set(rng.sample(others, min(len(others), self.traces - len(chosen))))
        return [end for end in ends if end in chosen]

    def tally(self, tree: Tree) -> Mapping[str, int]:
        """Counts: ends by outcome, and the trees that have both kinds."""
        ends = ends_of(tree)
        right = sum(end.copies for end in ends if end.reward == 1.0)
        wrong = sum(end.copies for end in ends) - right
        return {"right": right, "wrong": wrong, "trees that tell": int(tell_apart(ends))}

"""RLOO (2402.14740): a solution is worth how much better it does than the others of its group.

Sample `samples` solutions of a problem. The reward of each, 1 or 0 by its answer, is compared with
the mean reward of the others: a baseline that owes nothing to the solution itself, so that nothing
is divided by. Each solution as a whole is made more or less likely by the difference.

    whorl run run.toml --set recipe.name=examples/rloo.py:Rloo

Differences from the paper
1. The penalty for leaving the reference model is a term of the loss, by the k3 estimate, and no
   part of the reward.
2. Sizes are ours; the paper samples 2 to 4. Equal solutions are as many examples.
3. An end that was cut off before it stated an answer, or whose answer cannot be judged, counts as
   wrong. One that was cut off behind its answer counts as that does; to end there is not taught.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from whorl import (
    ROOT,
    Asking,
    Function,
    Harvest,
    Likelihood,
    Problem,
    Sampling,
    Tree,
    Weighted,
    drive,
    ended,
    first_right,
    prompts,
    sample,
    toy,
    within_budget,
)


@dataclass(frozen=True, slots=True)
class Rloo:
    """samples: solutions of a problem, the group. kl: coefficient of the penalty."""

    samples: int = 8
    kl: float = 0.04
    sampling: Sampling = Sampling(temperature=1.0)
    roles = ("policy",)
    starts = "last"

    @property
    def samples_at_most(self) -> int:
        return self.samples

    @property
    def objective(self) -> Likelihood:
        return Likelihood(kl=self.kl, penalty="k3", average="completion")

    def grow(self, problem: Problem, last: Tree | None = None) -> Asking[Tree]:
        tree = Tree(problem)
        with within_budget(tree):
            yield from sample(tree, self.samples, self.sampling)
        tree.tip = first_right(tree)
        return tree

    def harvest(self, tree: Tree) -> Harvest:
        ends = [end for end, node in enumerate(tree.nodes) if end and not node.children]
        group = [end for end in ends for _ in range(tree.nodes[end].copies)]
        rewards = [float(tree.nodes[end].reward == 1.0) for end in group]
        if len(set(rewards)) < 2:
            return Harvest((), {"group of equal rewards": 1})
        prompt = prompts.solve(tree.problem.question)
        examples = []
        for end, reward in zip(group, rewards, strict=True):
            others = (sum(rewards) - reward) / (len(rewards) - 1)
            weight, whole = reward - others, ended(tree.nodes[end])
            examples.append(Weighted(prompt, tree.text(end), weight, whole, tree.origin(end)))
        return Harvest(tuple(examples), {})

    def tally(self, tree: Tree) -> Mapping[str, int]:
        return {"solved": int(tree.tip != ROOT)}


if __name__ == "__main__":
    recipe = Rloo()
    searches = ((problem.id, recipe.grow(problem)) for problem in toy.problems(10))
    for finished in drive(searches, {"policy": Function(toy.answer)}):
        assert finished.result is not None, finished.error
        for example in recipe.harvest(finished.result).examples:
            print(f"{finished.key}  {example.weight:+.2f}  {example.text.splitlines()[-1]}")

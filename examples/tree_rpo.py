"""TreeRPO (2506.05183) in one file: a step is worth how much better it does than its siblings.

Sample `children` next steps after every prefix, down to `depth`; the last ones run to the end of
the solution. A step's reward is the mean of its children's, an end's is its outcome. Steps after
one prefix are a group: each is made more or less likely by its advantage in it, as GRPO does with
whole solutions.

    whorl run run.toml --set recipe.name=examples/tree_rpo.py:TreeRpo

Differences from the paper
1. A step ends where `sampling.steps` says, not after a number of tokens.
2. Advantages are divided by the group's standard deviation; the paper's scale is one of its own,
   made for rewards between 0 and 1.
3. Sizes and the penalty are ours. Equal steps are as many examples.
4. An end that was cut off, or whose answer cannot be judged, counts as wrong.
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
    Prompt,
    Sampling,
    Tree,
    Weighted,
    complete,
    drive,
    expand,
    first_right,
    group_advantage,
    prompts,
    together,
    toy,
    within_budget,
)


@dataclass(frozen=True, slots=True)
class TreeRpo:
    """children: sampled after a prefix. depth: of the tree. kl: coefficient of the penalty."""

    children: int = 3
    depth: int = 3
    kl: float = 0.04
    sampling: Sampling = Sampling(temperature=1.0)
    roles = ("policy",)
    starts = "last"

    @property
    def samples_at_most(self) -> int:
        return sum(self.children**depth for depth in range(1, self.depth + 1))

    @property
    def objective(self) -> Likelihood:
        return Likelihood(kl=self.kl, penalty="k3", average="completion")

    def grow(self, problem: Problem, last: Tree | None = None) -> Asking[Tree]:
        tree = Tree(problem)
        with within_budget(tree):
            yield from self._spread(tree, ROOT, self.depth)
        tree.tip = first_right(tree)
        return tree

    def _spread(self, tree: Tree, at: int, depth: int) -> Asking[None]:
        if depth == 1:
            yield from complete(tree, at, self.children, self.sampling)
            return
        steps = yield from expand(tree, at, self.sampling, self.children)
        going_on = [s for s in steps if not tree.nodes[s].terminal and not tree.nodes[s].pruned]
        yield from together([self._spread(tree, step, depth - 1) for step in going_on])

    def harvest(self, tree: Tree) -> Harvest:
        prompt = prompts.solve(tree.problem.question)
        examples = []
        alike = 0
        for at, node in enumerate(tree.nodes):
            group = [step for step in node.children for _ in range(tree.nodes[step].copies)]
            advantages = group_advantage([reward(tree, step) for step in group])
            if advantages is None:
                alike += bool(group)
                continue
            here = Prompt(prompt.system, prompt.user, tree.text(at))
            for step, weight in zip(group, advantages, strict=True):
                text, ended = tree.nodes[step].text, tree.nodes[step].terminal
                if text.strip():
                    examples.append(Weighted(here, text, weight, ended, tree.origin(step)))
        return Harvest(tuple(examples), {"group of equal rewards": alike} if alike else {})

    def tally(self, tree: Tree) -> Mapping[str, int]:
        return {"solved": int(tree.tip != ROOT), "steps": len(tree.nodes) - 1}


def reward(tree: Tree, step: int) -> float:
    """1.0 for a right end, 0.0 for another; else the mean reward of the step's children."""
    node = tree.nodes[step]
    if not node.children:
        return float(node.reward == 1.0)
    weights = [tree.nodes[child].copies for child in node.children]
    rewards = [reward(tree, child) for child in node.children]
    return sum(w * r for w, r in zip(weights, rewards, strict=True)) / sum(weights)


if __name__ == "__main__":
    recipe = TreeRpo()
    searches = ((problem.id, recipe.grow(problem)) for problem in toy.problems(10))
    for finished in drive(searches, {"policy": Function(toy.answer)}):
        assert finished.result is not None, finished.error
        for example in recipe.harvest(finished.result).examples:
            print(f"{finished.key}  {example.weight:+.2f}  {example.text.strip()}")

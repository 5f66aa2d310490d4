"""A new method is one small class: here, keep the shortest of the right solutions.

whorl run run.toml --set recipe.name=examples/new_paper.py:Shortest
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
    prompts,
    sample,
    toy,
)


@dataclass(frozen=True, slots=True)
class Shortest:
    """Sample `samples` solutions; learn from the shortest right one."""

    samples: int = 8
    sampling: Sampling = Sampling(temperature=1.0)
    roles = ("policy",)
    objective = Likelihood()
    starts = "first"

    @property
    def samples_at_most(self) -> int:
        return self.samples

    def grow(self, problem: Problem, last: Tree | None = None) -> Asking[Tree]:
        tree = Tree(problem)
        ends = yield from sample(tree, self.samples, self.sampling)
        right = [end for end in ends if tree.nodes[end].reward == 1.0]
        tree.tip = min(right, key=tree.depth, default=ROOT)
        return tree

    def harvest(self, tree: Tree) -> Harvest:
        if tree.tip == ROOT:
            return Harvest((), {"no right solution": 1})
        prompt, text = prompts.solve(tree.problem.question), tree.text(tree.tip)
        return Harvest((Weighted(prompt, text, ended=ended(tree.nodes[tree.tip])),), {})

    def tally(self, tree: Tree) -> Mapping[str, int]:
        return {"solved": int(tree.tip != ROOT)}


if __name__ == "__main__":
    recipe = Shortest()
    searches = ((problem.id, recipe.grow(problem)) for problem in toy.problems(10))
    for finished in drive(searches, {"policy": Function(toy.answer)}):
        assert finished.result is not None, finished.error
        print(finished.key, *(e.text for e in recipe.harvest(finished.result).examples))

"""A new method is one small class: here, keep the shortest of the right solutions."""

from collections.abc import Mapping
from dataclasses import dataclass

from whorl import Harvest, Likelihood, Moves, Problem, Tree, Weighted, drive, prompts
from whorl.engines import toy
from whorl.engines.function import Function
from whorl.rollout import Sampling, sample


@dataclass(frozen=True, slots=True)
class Shortest:
    """Sample `samples` solutions; learn from the shortest right one."""

    samples: int = 8
    roles = ("policy",)
    objective = Likelihood()
    starts = "first"

    @property
    def samples_at_most(self) -> int:
        return self.samples

    def arms(self) -> Mapping[str, "Shortest"]:
        return {"": self}

    def grow(self, problem: Problem, last: Tree | None = None) -> Moves[Tree]:
        tree = Tree(problem)
        ends = yield from sample(tree, self.samples, Sampling(temperature=1.0))
        right = [end for end in ends if tree.nodes[end].reward == 1.0]
        tree.tip = min(right, key=tree.depth, default=tree.tip)
        return tree

    def harvest(self, tree: Tree) -> Harvest:
        if not tree.tip:
            return Harvest((), {"no right solution": 1})
        text = tree.text(tree.tip)
        return Harvest((Weighted(prompts.solve(tree.problem.question), text),), {})

    def tally(self, tree: Tree) -> Mapping[str, int]:
        return {"solved": int(bool(tree.tip))}


recipe = Shortest()
searches = ((problem.id, recipe.grow(problem)) for problem in toy.problems(10))
for finished in drive(searches, {"policy": Function(toy.answer)}):
    if finished.result is not None:
        print(finished.key, *(example.text for example in recipe.harvest(finished.result).examples))

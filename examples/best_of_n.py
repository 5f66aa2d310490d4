"""Best of n without gold answers: a process reward model chooses what to learn from.

Sample `samples` solutions, let the role `prm` score every step, and fine-tune on the solution whose
worst step is best. Its answer is judged for the record only: `tally` says how often the choice was
right, and how often the samples were.

    whorl grow --recipe examples/best_of_n.py:BestOfN --policy local:MODEL --prm prm:MODEL ...
"""

from collections import Counter
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
    score,
    toy,
    within_budget,
)


@dataclass(frozen=True, slots=True)
class BestOfN:
    """samples: solutions per problem. least: the worst step's score that is still learned from."""

    samples: int = 8
    least: float = 0.5
    sampling: Sampling = Sampling(temperature=1.0)
    roles = ("policy", "prm")
    objective = Likelihood()
    starts = "first"

    @property
    def samples_at_most(self) -> int:
        return self.samples * (1 + 16)  # a score for each of about 16 steps

    def grow(self, problem: Problem, last: Tree | None = None) -> Asking[Tree]:
        tree = Tree(problem)
        with within_budget(tree):
            ends = yield from sample(tree, self.samples, self.sampling)
            yield from score(tree, sorted({step for end in ends for step in tree.path(end)}))
            answered = [end for end in ends if tree.nodes[end].terminal]
            tree.tip = max(answered, key=lambda end: worst(tree, end), default=ROOT)
        return tree

    def harvest(self, tree: Tree) -> Harvest:
        if tree.tip == ROOT:
            return Harvest((), {"no answer": 1})
        if worst(tree, tree.tip) < self.least:
            return Harvest((), {"no solution that scores well": 1})
        prompt = prompts.solve(tree.problem.question)
        text, whole = tree.text(tree.tip).rstrip(), ended(tree.nodes[tree.tip])
        return Harvest((Weighted(prompt, text, ended=whole, origin=tree.origin(tree.tip)),), {})

    def tally(self, tree: Tree) -> Mapping[str, int]:
        counts = Counter(chosen=int(tree.tip != ROOT))
        counts["chosen right"] = int(tree.nodes[tree.tip].reward == 1.0)
        for end in tree.leaves():
            counts["samples"] += tree.nodes[end].copies
            counts["samples right"] += tree.nodes[end].copies * (tree.nodes[end].reward == 1.0)
        return counts


def worst(tree: Tree, end: int) -> float:
    """The lowest score on the way to `end`; 0 where a budget ended before the scores came."""
    return min(tree.nodes[step].value or 0.0 for step in tree.path(end))


if __name__ == "__main__":
    recipe = BestOfN()
    world = Function(toy.answer)
    searches = ((problem.id, recipe.grow(problem)) for problem in toy.problems(200))
    total: Counter[str] = Counter()
    for finished in drive(searches, {"policy": world, "prm": world}):
        assert finished.result is not None, finished.error
        total.update(recipe.tally(finished.result))
    print(f"samples right: {total['samples right'] / total['samples']:.1%}")
    print(f"chosen right: {total['chosen right'] / total['chosen']:.1%}")

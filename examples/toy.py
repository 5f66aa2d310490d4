"""The whole of a search without a model: SIGMA over a world in which one adds numbers."""

from whorl import Function, Uct, drive, toy
from whorl.recipes import Sigma
from whorl.recipes.refinement import best_own

recipe = Sigma(uct=Uct(simulations=2), temperatures=(0.7,))
everyone = Function(toy.answer)
searches = ((problem.id, recipe.grow(problem)) for problem in toy.problems(40))

before = after = 0
for finished in drive(searches, {"policy": everyone, "critic": everyone, "reviser": everyone}):
    tree = finished.result
    assert tree is not None, finished.error
    best = best_own(tree)
    before += best is not None and tree.nodes[best].reward == 1.0
    after += len(recipe.harvest(tree).examples)

print(f"right before revision: {before} of 40, after: {after} of 40")

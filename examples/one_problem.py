"""One problem, a real model, one tree: the shipped policy searches, the shipped teacher refines."""

from whorl import Judges, Problem, Uct, drive, models, open_engine
from whorl.recipes import Sigma

question = "Mia has 7 apples. She buys 5 apples and then gives 4 away. How many apples has she now?"
problem = Problem("mia", question, "8")
policy = open_engine(f"local:{models.POLICY}", processes=0)
teacher = open_engine(f"local:{models.TEACHER}", processes=0)
engines = {"policy": policy, "critic": teacher, "reviser": teacher, "judge": Judges()}
recipe = Sigma(uct=Uct(simulations=4), temperatures=(0.7,))

try:
    (finished,) = drive([(problem.id, recipe.grow(problem))], engines)
finally:
    for engine in (policy, teacher, engines["judge"]):
        engine.close()
tree = finished.result
assert tree is not None, finished.error
for index, node in enumerate(tree.nodes[1:], start=1):
    mark = {1.0: "right", 0.0: "wrong", None: ""}[node.reward]
    print("  " * tree.depth(index), f"{node.author}: {node.text.strip()}", mark)
print("harvest:", *(example.text for example in recipe.harvest(tree).examples))

"""Once round the loop, from a script: load, grow, harvest, train, measure, on the shipped policy.

    python examples/loop.py FOLDER

Given the same folder again, it goes on where it stopped.
"""

import sys
from pathlib import Path

from whorl import (
    BlankLine,
    Sampling,
    Training,
    grow,
    harvest,
    measure,
    models,
    pass_rate,
    read_problems,
    synthetic,
    train,
    write_problems,
)
from whorl.recipes import Rft

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("python examples/loop.py FOLDER")
    folder = Path(sys.argv[1])
    write_problems(folder / "problems.jsonl", synthetic.problems("pool", 12, seed=0, levels=[1]))
    problems = list(read_problems(folder / "problems.jsonl"))
    test = list(synthetic.problems("test", 12, seed=0, levels=[1]))
    steps = BlankLine(min_chars=0)  # one of the tiny models may be as short as "3*4=12."
    recipe = Rft(Sampling(1.0, solution_tokens=120, steps=steps), samples=4)
    grow(problems, recipe, {"policy": f"local:{models.POLICY}"}, folder / "run", processes=0)
    found = harvest(folder / "run")
    settings = Training(epochs=1, lr=1e-3, batch=16)
    learned = folder / "learned"
    train(models.POLICY, folder / "run" / "examples.jsonl", learned, settings=settings)
    for name, model in (("before", models.POLICY), ("after", learned)):
        scores = measure(f"local:{model}", test, folder / f"{name}.jsonl", processes=0)
        print(f"{name} {found.examples} examples: {pass_rate(scores, 1).value:.1%}")

"""Trains the shipped process reward model: `python -m whorl.models.reward --out DIR`.

Math-Shepherd (2312.08935) with what is here: the shipped policy solves problems of the pool many
times, every step is labelled by the share of its completions that are right, and the policy
with a new head learns the labels.
"""

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import AutoModelForTokenClassification
from transformers.utils import logging

from whorl.chat import Chat
from whorl.data.stepwise import rated_steps
from whorl.data.synthetic import problems
from whorl.drive import drive
from whorl.engines import open_engine
from whorl.engines.judge import Judges
from whorl.example import Rated
from whorl.learn.prm import train_prm
from whorl.learn.training import Training
from whorl.models import POLICY
from whorl.models.pretrain import say_progress
from whorl.recipes.rft import Rft
from whorl.rollout import Sampling

SOLUTIONS = Rft(samples=16, sampling=Sampling(temperature=1.0, solution_tokens=160))
"""At a higher temperature than SPHERE's, for more kinds of mistakes."""

SETTINGS = Training(
    epochs=3, lr=2e-3, batch=512, max_length=1024, warmup=0.05, holdout=0.05, patience=3
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    parser.add_argument("--problems", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.set_num_threads(1)
    steps = list(rated_solutions(options.problems, seed=options.seed))
    say_progress(f"{len(steps)} steps of {options.problems} problems")
    trained = options.out.with_name(options.out.name + ".float32")
    result = train_prm(POLICY, steps, trained, settings=SETTINGS, watch=Spoken())
    model = AutoModelForTokenClassification.from_pretrained(trained, dtype=torch.bfloat16)
    model.save_pretrained(options.out)
    Chat.load(trained).tokenizer.save_pretrained(options.out)
    shutil.rmtree(trained)
    say_progress(f"done: on held-out problems AUC {result.auc}, accuracy {result.accuracy}")


def rated_solutions(count: int, *, seed: int) -> Iterator[Rated]:
    """Steps of the policy's solutions of pool problems with their values, in the problems'
    order."""
    engines = {"policy": open_engine(f"local:{POLICY}", processes=0), "judge": Judges()}
    order = list(problems("pool", count, seed=seed))
    searches = ((problem.id, SOLUTIONS.grow(problem)) for problem in order)
    trees = {done.key: done.result for done in drive(searches, engines)}
    for engine in engines.values():
        engine.close()
    for problem in order:
        if tree := trees[problem.id]:
            yield from rated_steps(tree)


class Spoken:
    """A training that is printed."""

    def training(self, step: int, steps: int, loss: float) -> None:
        say_progress(f"step {step}/{steps}, loss {loss:.4f}")

    def say(self, line: str) -> None:
        say_progress(line)


if __name__ == "__main__":
    main()

"""Makes a tiny model that thinks of the shipped policy: `python -m whorl.models.thinker --out DIR`.

It writes the equations of a solution between `<think>` and `</think>`, one a paragraph, and then
the solution. It takes seconds, so no weights are shipped; it is for tests and first steps.
"""

import argparse
from itertools import islice
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import torch
from tokenizers import AddedToken
from transformers import AutoModelForCausalLM

from whorl import prompts
from whorl.answer.thoughts import CLOSE, OPEN
from whorl.chat.tokenizer import load_tokenizer
from whorl.data.story import Story, equation_text
from whorl.example import Weighted
from whorl.learn.train import train
from whorl.learn.training import Training
from whorl.models import POLICY
from whorl.models.lessons import pretraining

SETTINGS = Training(epochs=1, lr=6e-3, batch=8, max_length=1024, warmup=0.1)


def make_thinker(out: Path, *, lessons: int = 400, levels: tuple[int, ...] = (1, 2)) -> Path:
    """Train the shipped policy on stories of the pretraining split with a thought before each
    solution; returns `out`, the model folder."""
    stories = islice(pretraining(Random(7), levels), lessons)
    with TemporaryDirectory() as folder:
        start = _with_marks(Path(folder))
        train(start, map(thinking_lesson, stories), out, settings=SETTINGS)
    return out


def _with_marks(folder: Path) -> Path:
    """The shipped policy with a token for each mark of a thought, as models that think have."""
    tokenizer = load_tokenizer(POLICY)
    marks = [AddedToken(mark.strip(), normalized=False) for mark in (OPEN, CLOSE)]
    tokenizer.add_tokens(marks)
    model = AutoModelForCausalLM.from_pretrained(POLICY, dtype=torch.float32)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def thinking_lesson(story: Story) -> Weighted:
    """A lesson: a problem, the equations of its solution as a thought, and the solution."""
    steps = enumerate(story.steps)
    thought = "\n\n".join(equation_text(step, story.results, k) for k, step in steps)
    solution = "\n\n".join(story.solution)
    return Weighted(prompts.solve(story.question), OPEN + thought + CLOSE + solution)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    make_thinker(parser.parse_args().out)


if __name__ == "__main__":
    main()

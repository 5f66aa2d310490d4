"""`whorl train`."""

from pathlib import Path
from typing import Annotated

import typer

from whorl.cli import options

EXAMPLES = (
    "whorl train --model models/small --examples runs/a/examples.jsonl --out runs/a/checkpoint",
    "whorl train --model models/small --examples runs/a/examples.jsonl --out runs/a/checkpoint "
    "--set lr=5e-4 --set batch=32",
)


def train(
    model: Annotated[Path, typer.Option(help="Model folder to start from.", show_default=False)],
    examples: Annotated[Path, typer.Option(help="File of examples.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Model folder to write.", show_default=False)],
    overrides: options.Overrides = None,
) -> None:
    """Fine-tune a model on examples.

    The loss is taken on the completions only. After a crash or Ctrl-C the
    same command goes on from the last checkpoint. --set changes settings of
    the training, e.g. --set lr=1e-5 --set epochs=3.
    """
    from whorl import settings
    from whorl.cli.display import Display
    from whorl.data.examples import read_examples
    from whorl.learn.training import Training

    sft = settings.read_settings(Training(), overrides or ())
    display = Display()
    from whorl.learn.train import train as fine_tune

    result = fine_tune(model, read_examples(examples), out, settings=sft, watch=display)
    for reason, count in sorted(result.dropped.items()):
        display.say(f"left out: {reason}: {count:,}")
    display.wrote(
        out,
        f"model after {result.steps:,} steps on {result.examples:,} examples, "
        f"loss {result.loss:.4f}",
    )

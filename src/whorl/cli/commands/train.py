"""`whorl train`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from whorl.cli import options
from whorl.cli.given import given

if TYPE_CHECKING:
    from collections.abc import Iterable

    from whorl.cli.display import Display
    from whorl.example import Example, Objective
    from whorl.learn.training import Training, TrainResult

EXAMPLES = (
    "whorl train --model policy --examples runs/a/examples.jsonl --out runs/a/checkpoint",
    "whorl train --model policy --examples unrefined.jsonl --out tuned --recipe process "
    "--set lr=5e-5 --set epochs=1 --set objective.kl=0.2",
    "whorl train --objective prm --model policy --examples runs/a/trees.jsonl --out graded "
    "--set epochs=1 --set holdout=0.1",
)


def train(  # noqa: PLR0913 (each parameter is an option)
    model: Annotated[
        str,
        typer.Option(
            help="Model to start from: a folder, OWNER/NAME of the hub, or policy, which came with "
            "whorl; ?template=alpaca behind it chooses the chat template.",
            show_default=False,
        ),
    ],
    examples: Annotated[
        Path, typer.Option(help="File of examples; for prm a file of trees.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Model folder to write.", show_default=False)],
    recipe: Annotated[
        str,
        typer.Option(
            help="Train by this recipe's preset, towards its objective, instead of by those of the "
            "recipe that harvested the examples; your own is module:Class."
        ),
    ] = "",
    run_file: Annotated[
        Path | None,
        typer.Option(
            "--run-file",
            help="Run file whose train and recipe tables to train by; --set changes them.",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        Literal["", "prm"],
        typer.Option(
            "--objective", metavar="prm", help="prm: a process reward model of the steps of trees."
        ),
    ] = "",
    enough: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="prm: hard labels: a step is good if more than this share of what follows it is "
            "right. Without it labels are that share.",
            show_default=False,
        ),
    ] = None,
    overrides: options.Overrides = None,
    dry_run: options.DryRun = False,
) -> None:
    """Fine-tune a model on examples, or make a process reward model of it.

    What examples share, the question and the first steps, is computed once.
    The objective is that of the recipe that harvested the examples, which
    `whorl harvest` writes beside them. After a crash or Ctrl-C the same
    command goes on from the last checkpoint.
    Under torchrun or accelerate launch it trains on all devices.

    The settings are those of the same recipe's preset `paper`: what its paper
    says, and ours where the paper is silent (docs/papers.md, "Presets");
    --recipe NAME --set preset=NAME takes another one. Where no recipe is known,
    completions are learned as in SIGMA's paper, and pairs by our values.

    --set changes settings of the training (lr, epochs, batch, tokens,
    max_length, holdout, lora.rank, bf16, ...) and of the objective
    (objective.kl, objective.penalty, objective.average for completions,
    objective.beta, objective.nll for pairs).
    """
    from whorl.errors import UserError

    if target == "prm":
        if given("recipe", "run_file"):
            raise UserError(
                "--recipe and --run-file are for examples; --objective prm learns from any trees"
            )
        if dry_run:
            raise UserError("--dry-run is for examples, not for --objective prm")
        _train_prm(model, examples, out, enough, overrides or [])
        return
    if given("enough"):
        raise UserError("--enough is for --objective prm")
    from dataclasses import asdict
    from itertools import chain

    from whorl.cli.display import Display
    from whorl.cli.guard import whorl
    from whorl.data.examples import read_examples
    from whorl.engines.model import pending
    from whorl.engines.roles import trainable
    from whorl.watch.events import recorded

    lacking = pending(model) if dry_run else ""
    start = None if lacking else trainable(model)
    rows = read_examples(examples)
    first = next(rows, None)
    training, objective, why = _settings(examples, first, recipe, run_file, overrides or [])
    display = Display()
    said = ", ".join(f"{key} {value}" for key, value in asdict(objective).items())
    display.say(f"objective {why}: {type(objective).__name__.lower()}, {said}")
    every = chain([first], rows) if first else rows
    if start is None:
        typer.echo(f"{lacking}; what it would learn can be told then; nothing was written")
        return
    if dry_run:
        return _describe(start, every, training, objective)
    from whorl.learn.train import train as fine_tune

    with recorded(display, _events(out), {"policy": model}) as watch:
        result = fine_tune(start, every, out, settings=training, objective=objective, watch=watch)
    _tell(result, display)
    done = f"model after {result.steps:,} steps on {result.examples:,} examples"
    display.wrote(out, f"{done}, loss {result.loss:.4f}")
    display.next(
        whorl("evaluate", "--model", out, *["--problems", "test.jsonl", "--out", "after.jsonl"])
    )


def _describe(
    model: Path, rows: "Iterable[Example]", training: "Training", objective: "Objective"
) -> None:
    """Say by which settings a training would go, and what it would learn from."""
    from whorl import settings
    from whorl.chat import Chat
    from whorl.cli.plan import setting_lines
    from whorl.learn.batches import plan_steps
    from whorl.learn.train import read_corpus
    from whorl.learn.training import Training

    for line in setting_lines(settings.as_table(training), settings.as_table(Training())):
        typer.echo(line)
    corpus = read_corpus(model, rows, Chat.load(model), objective, training)
    for reason, count in sorted(corpus.dropped.items()):
        typer.echo(f"left out: {reason}: {count:,}")
    plan = plan_steps(corpus.groups, size=training.batch, epochs=1, seed=0, of=training.batch_of)
    steps = sum(map(len, plan)) * training.epochs
    typer.echo(
        f"examples: {len(corpus):,} of {len(corpus.groups):,} questions, {corpus.tokens:,} tokens "
        f"to learn, at most {corpus.longest:,} in one"
    )
    typer.echo(
        f"training: {training.epochs:,} times through them, {steps:,} optimizer steps at most"
    )
    typer.echo("nothing was written")


def _settings(
    examples: Path,
    first: "Example | None",
    recipe: str,
    run_file: Path | None,
    changes: list[str],
) -> "tuple[Training, Objective, str]":
    """The settings and the objective of a training, and what says the latter. first: of the
    examples."""
    from whorl import settings
    from whorl.loop.runfile import read_run
    from whorl.loop.stages import usual_objective, usual_settings

    run = read_run(run_file) if run_file else None
    if run:
        objective, why, usual = run.recipe.objective, f"of {run_file}", run.train
    else:
        objective, why = usual_objective(examples, first)
        usual = usual_settings(examples, objective)
    if recipe:
        which = [change for change in changes if change.startswith("preset=")]
        changes = [change for change in changes if change not in which]
        preset = settings.read_preset({"name": recipe}, which)
        objective, why = preset.recipe.objective, f"of {recipe}"
        usual = usual if run else preset.train
    own = [change for change in changes if not change.startswith("objective.")]
    training = settings.read_settings(usual, own)
    return training, settings.read_objective(objective, changes), why


def _events(out: Path) -> Path:
    """Events of a training lie beside the model folder, which appears when it is complete."""
    return out.with_name(f"{out.name}.events.jsonl")


def _tell(result: "TrainResult", display: "Display") -> None:
    """Say what a training left out, learned against, and computed once."""
    for reason, count in sorted(result.dropped.items()):
        display.say(f"left out: {reason}: {count:,}")
    if result.negative:
        display.say(f"negative weights: {result.negative:.1%} of the examples")
    if result.sharing > 1:
        display.say(f"what examples share was computed once: 1/{result.sharing:.1f} of the tokens")


def _train_prm(
    model: str, trees: Path, out: Path, enough: float | None, overrides: list[str]
) -> None:
    from whorl import settings
    from whorl.cli.display import Display
    from whorl.data.forest import read_trees
    from whorl.data.stepwise import rated_steps
    from whorl.engines.roles import trainable
    from whorl.learn.training import Training
    from whorl.watch.events import recorded

    start = trainable(model)
    training = settings.read_settings(Training(), overrides)
    display = Display()
    display.say(f"loading {model}")
    from whorl.learn.prm import train_prm

    steps = (step for tree in read_trees(trees) for step in rated_steps(tree, enough=enough))
    with recorded(display, _events(out), {"policy": model}) as watch:
        result = train_prm(start, steps, out, settings=training, watch=watch)
    for reason, count in sorted(result.dropped.items()):
        display.say(f"left out: {reason}: {count:,}")
    if result.auc is not None:
        display.say(f"on held-out steps: AUC {result.auc:.3f}, accuracy {result.accuracy:.1%}")
    display.wrote(
        out,
        f"process reward model after {result.steps:,} steps on {result.examples:,} labels, "
        f"loss {result.loss:.4f}; use it as prm:{out}",
    )

"""The model card of a trained folder: base model, examples, settings and results."""

from dataclasses import asdict
from pathlib import Path

import torch
import transformers

from whorl import __version__
from whorl.engines.hub import called
from whorl.example import Objective
from whorl.learn.folder import QUESTIONS
from whorl.learn.training import EXECUTION, Training, TrainResult


def write_card(
    folder: Path, model: Path, objective: Objective, settings: Training, result: TrainResult
) -> None:
    """Write `README.md`, in the form that model hubs read."""
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in sorted(result.dropped.items()))
    figures = {
        "examples": f"{result.examples:,}, {result.tokens:,} completion tokens",
        "left out": dropped or "none",
        "negative weights": f"{result.negative:.1%} of the examples",
        "optimizer steps": f"{result.steps:,}",
        "loss over the last epoch": f"{result.loss:.4f}",
    }
    if result.held_out is not None:
        figures["loss on held-out questions"] = f"{result.held_out:.4f}"
    said = {"objective": type(objective).__name__, **asdict(objective)}
    for name, value in asdict(settings).items():
        if name not in EXECUTION:
            said |= value if name == "lora" and value["rank"] else {name: value}
    if not settings.lora.rank:
        said["lora"] = "none, all weights were trained"
    (folder / "README.md").write_text(
        "---\nlibrary_name: transformers\ntags: [whorl, math]\n---\n\n"
        f"# {called(model)}, fine-tuned by whorl\n\n"
        f"From the model folder `{called(model)}`, with whorl {__version__}, transformers "
        f"{transformers.__version__} and torch {torch.__version__}. `training.json` holds what "
        f"identifies the training, `{QUESTIONS}` names the questions learned from, those of the "
        "model before included: figures on them say nothing.\n\n"
        f"## Figures\n\n{_table(figures)}\n\n## Settings\n\n{_table(said)}\n"
    )


def _table(rows: dict[str, object] | dict[str, str]) -> str:
    lines = (f"| {name} | {value} |" for name, value in rows.items())
    return "\n".join(("| | |", "| --- | --- |", *lines))

"""The optimizer's state between trainings: AdamW's moments, kept beside the model they made."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from whorl.errors import UserError
from whorl.learn.training import Training
from whorl.learn.unfinished import RECORD

MOMENTS = "optimizer.moments"
"""File of the state in a model folder, as safetensors: `NUMBER.NAME` of each parameter's, in the
optimizer's order."""


def moments_of(model: Path, settings: Training) -> Path | None:
    """The file of the optimizer's state that a training from `model` goes on with; None if it
    begins anew, as one does that starts from a model which no such training made.

    Raises `UserError` if the state was there and is gone.
    """
    if not settings.carry:
        return None
    file = model / MOMENTS
    if file.is_file():
        return file
    if _left_by(model):
        raise UserError(
            f"{file} is missing: a later training took the optimizer's state over, or it was "
            "deleted; carry=false begins with a new one"
        )
    return None


def save_moments(optimizer: torch.optim.Optimizer, file: Path) -> None:
    """Write the state of every parameter."""
    state = optimizer.state_dict()["state"]
    save_file(
        {
            f"{number}.{name}": value.contiguous()
            for number, values in state.items()
            for name, value in values.items()
        },
        file,
    )


def load_moments(optimizer: torch.optim.Optimizer, file: Path) -> None:
    """Give every parameter the state in `file`. The learning rate and the like stay: they are this
    training's own."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in load_file(file).items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = value
    own = optimizer.state_dict()
    optimizer.load_state_dict({"state": state, "param_groups": own["param_groups"]})


def _left_by(model: Path) -> bool:
    """Whether the training that made a model left its optimizer's state there."""
    try:
        return bool(json.loads((model / RECORD).read_text())["settings"].get("carry"))
    except (OSError, ValueError, KeyError, AttributeError):
        return False

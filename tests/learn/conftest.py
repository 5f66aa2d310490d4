"""Watching a training, stopping it, and comparing what trainings left."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file


class Log:
    """Keeps what a training says; stops it at a step, as Ctrl-C does."""

    def __init__(self, stop_at: float = math.inf) -> None:
        self.losses: list[float] = []
        self.steps: list[int] = []
        self.lines: list[str] = []
        self._stop_at = stop_at

    def training(self, step: int, steps: int, loss: float) -> None:
        self.steps.append(step)
        self.losses.append(loss)
        if step >= self._stop_at:
            raise KeyboardInterrupt

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture(scope="session")
def log() -> type[Log]:
    """`log()` watches a training, `log(5)` stops it after step 5."""
    return Log


@pytest.fixture(scope="session")
def apart() -> Callable[[Path, Path], float]:
    """Largest difference between the weights of two model folders; 0 if they are equal."""

    def difference(one: Path, other: Path) -> float:
        a, b = _weights(one), _weights(other)
        assert a.keys() == b.keys()
        return max(float((a[name] - b[name]).abs().max()) for name in a)

    return difference


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    (file,) = folder.glob("*.safetensors")
    return load_file(file)

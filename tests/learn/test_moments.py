"""The optimizer's state that goes from one training to the next."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from whorl.ask import Prompt
from whorl.errors import UserError
from whorl.example import Weighted
from whorl.learn.moments import MOMENTS
from whorl.learn.prm import train_prm
from whorl.learn.train import train
from whorl.learn.training import Lora, Training

EXAMPLES = [
    Weighted(Prompt("", f"Problem: {n} apples and {n % 4} more."), f"{n}+{n % 4}={n + n % 4}")
    for n in range(10, 18)
]
CARRIED = Training(epochs=1, lr=1e-3, batch=8, seed=1, warmup=0.0, clip=1e9, carry=True)


class Killed(Exception):
    pass


class Killer:
    """Ends a training at a step."""

    def __init__(self, step: float = math.inf) -> None:
        self._step = step

    def training(self, step: int, steps: int, loss: float) -> None:
        if step >= self._step:
            raise Killed

    def say(self, line: str) -> None: ...


@pytest.fixture(scope="module")
def first(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model after one step, with what the optimizer knew then."""
    out = tmp_path_factory.mktemp("moments") / "first"
    train(tiny_model, EXAMPLES, out, settings=CARRIED)
    return out


def moments(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / MOMENTS)


def test_the_second_training_goes_on_with_the_moments_of_the_first(
    first: Path, tmp_path: Path
) -> None:
    """AdamW's first moment is 0.9 of the last one and 0.1 of the gradient; a new one has none."""
    train(first, EXAMPLES, tmp_path / "carried", settings=CARRIED)
    bare = tmp_path / "bare"
    shutil.copytree(first, bare, ignore=shutil.ignore_patterns(MOMENTS, "training.json"))
    train(bare, EXAMPLES, tmp_path / "anew", settings=CARRIED)
    old, carried, anew = moments(first), moments(tmp_path / "carried"), moments(tmp_path / "anew")
    assert old.keys() == carried.keys() == anew.keys()
    for name in old:
        if name.endswith("exp_avg"):
            torch.testing.assert_close(carried[name], 0.9 * old[name] + anew[name])
            assert old[name].abs().max() > 0
        if name.endswith("step"):
            assert (old[name], carried[name], anew[name]) == (1, 2, 1)


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_killed_training_ends_in_the_same_weights_and_moments(
    first: Path, tmp_path: Path, step: int
) -> None:
    settings = replace(CARRIED, epochs=3, save_steps=2)
    train(first, EXAMPLES, tmp_path / "undisturbed", settings=settings)
    with pytest.raises(Killed):
        train(first, EXAMPLES, tmp_path / "out", settings=settings, watch=Killer(step))
    train(first, EXAMPLES, tmp_path / "out", settings=settings)
    for name in ("model.safetensors", MOMENTS):
        ours, theirs = (tmp_path / out / name for out in ("out", "undisturbed"))
        assert ours.read_bytes() == theirs.read_bytes()


def test_a_state_that_is_gone_is_said(first: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    shutil.copytree(first, taken, ignore=shutil.ignore_patterns(MOMENTS))
    with pytest.raises(UserError, match=f"{MOMENTS} is missing: .*carry=false"):
        train(taken, EXAMPLES, tmp_path / "out", settings=CARRIED)
    train(taken, EXAMPLES, tmp_path / "out", settings=replace(CARRIED, carry=False))
    assert not (tmp_path / "out" / MOMENTS).exists()


def test_what_cannot_be_carried_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    for settings in ({"lora": Lora(rank=2)}, {"holdout": 0.5}):
        with pytest.raises(UserError, match="carry is for all weights"):
            replace(CARRIED, **settings)
    with pytest.raises(UserError, match="leave carry out"):
        train_prm(tiny_model, [], tmp_path / "out", settings=CARRIED)

"""Checkpoints within an epoch that takes long."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from whorl.ask import Prompt
from whorl.example import Weighted
from whorl.learn import fit, saving
from whorl.learn.train import train
from whorl.learn.training import Training

EXAMPLES = [Weighted(Prompt("", f"{n} + 1 = ?"), f"{n + 1}") for n in range(30)]
SETTINGS = Training(epochs=1, batch=1, lr=1e-3)  # an epoch of 30 steps


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Steps at which checkpoints are written; each look at the clock takes 200 seconds."""
    steps: list[int] = []

    class Told(saving.Saver):
        def __init__(self) -> None:
            super().__init__(map(float, count(0, 200)).__next__)

        def on_save(
            self,
            args: TrainingArguments,
            state: TrainerState,
            control: TrainerControl,
            **kwargs: Any,
        ) -> None:
            super().on_save(args, state, control, **kwargs)
            steps.append(state.global_step)

    monkeypatch.setattr(fit, "Saver", Told)
    return steps


def test_a_kill_costs_ten_minutes_and_the_weights_are_the_same(
    tiny_model: Path,
    tmp_path: Path,
    saved: list[int],
    log: Callable[..., Any],
    apart: Callable[[Path, Path], float],
) -> None:
    whole = train(tiny_model, EXAMPLES, tmp_path / "whole", settings=SETTINGS)
    # after ten minutes, then after twenty times the 200 seconds that writing took
    assert saved == [3, 23, 30]
    with pytest.raises(KeyboardInterrupt):
        train(tiny_model, EXAMPLES, tmp_path / "out", settings=SETTINGS, watch=log(7))
    again = log()
    resumed = train(tiny_model, EXAMPLES, tmp_path / "out", settings=SETTINGS, watch=again)
    assert again.steps[0] == 4
    assert apart(tmp_path / "out", tmp_path / "whole") == 0
    assert resumed.loss == pytest.approx(whole.loss, abs=1e-6)


@pytest.mark.parametrize("often", [{"save_steps": 20}, {"holdout": 0.1}])
def test_where_it_is_said_how_often_there_are_no_others(
    tiny_model: Path, tmp_path: Path, saved: list[int], often: dict[str, Any]
) -> None:
    train(tiny_model, EXAMPLES, tmp_path / "out", settings=replace(SETTINGS, **often))
    assert saved == []

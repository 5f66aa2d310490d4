"""Advice on the precision of a training: given where it saves time, and nowhere else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from whorl.ask import Prompt
from whorl.example import Weighted
from whorl.learn import precision
from whorl.learn.train import train
from whorl.learn.training import Training


@pytest.mark.parametrize("has", ["avx512_bf16", "amx_bf16"])
def test_bfloat16_is_advised_where_the_processor_has_it_and_the_model_is_large(
    monkeypatch: pytest.MonkeyPatch, has: str
) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {has: True}, raising=False)
    assert "train.bf16=true" in precision.advice(Training(), precision.LARGE)
    assert not precision.advice(Training(bf16=True), precision.LARGE)
    assert not precision.advice(Training(), precision.LARGE - 1)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {has: False}, raising=False)
    assert not precision.advice(Training(), precision.LARGE)
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not precision.advice(Training(), precision.LARGE)


def test_it_is_said_once_before_the_first_step(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: Callable[..., Any]
) -> None:
    monkeypatch.setattr(precision, "LARGE", 1)
    monkeypatch.setattr(precision, "_native", lambda: True)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    told, example = log(), Weighted(Prompt("", "1 + 1 = ?"), "2")
    train(tiny_model, [example], tmp_path / "out", settings=Training(epochs=1), watch=told)
    assert [line for line in told.lines if "bf16" in line] == [
        precision.advice(Training(), weights=1)
    ]

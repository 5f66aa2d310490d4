"""Settings of a training, and its result."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from whorl.errors import UserError, reason

_SEEDS = 2**31
"""Seeds that there are: numpy takes twice as many, and the seeds of a comparison are added."""


@dataclass(frozen=True, slots=True)
class Lora:
    """Low-rank adapters (LoRA, 2106.09685) on every linear layer but the head.

    rank: of the updates; 0 is full fine-tuning. MCTS process supervision uses LoRA, of rank 64 in
        its preset (docs/papers.md, "Presets").
    alpha: the update is scaled by alpha / rank.
    dropout: of the adapters' input, in [0, 1).
    merge: write a whole model; otherwise only the adapter, which names its base model.
    """

    rank: int = 0
    alpha: float = 128.0
    dropout: float = 0.0
    merge: bool = True

    def __post_init__(self) -> None:
        if self.rank < 0 or not 0 < self.alpha < math.inf or not 0 <= self.dropout < 1:
            raise UserError(
                "rank must not be negative, alpha must be above 0 and dropout in [0, 1)"
            )


@dataclass(frozen=True, slots=True)
class Training:
    """Settings of fine-tuning: AdamW, cosine decay after a warm-up. The defaults are SIGMA's
    (2506.06470); what other papers say is in their presets.

    epochs: passes over the examples.
    lr: peak learning rate.
    batch: examples per optimizer step, in all processes together. Those of one question stay in
        one step where they fit, so a step may hold some fewer.
    batch_of: what `batch` counts: `examples`, or `states`, a state being a prompt with all its
        completions, as MARGE's script counts.
    max_length: tokens of context + completion; a longer example is dropped and counted.
    warmup: share of the steps, in [0, 1].
    weight_decay: of the matrices; no paper states it.
    clip: largest norm of the gradient; no paper states it.
    lora: low-rank adapters instead of all weights.
    holdout: share of the questions, in [0, 1), that is not trained on but measured whenever a
        checkpoint is written; the model with the lowest loss on it is the result.
    patience: so many measurements without improvement end the training.
    reference: model folder that penalties hold to, for example the model that the first round of a
        run trained; None: the one that training starts from.
    carry: the optimizer goes on with its state from the training that made the model, as if it had
        never stopped; each training has a warm-up and a decay of its own. A later training takes
        the state over.
    seed: fixes the order of the examples.
    save_steps: optimizer steps between checkpoints; 0 is once an epoch and, in one process without
        `holdout`, every ten minutes.
    tokens: in one forward pass of one process, padding included. Lower it if memory runs out.
    packed: compute what examples share once. False pads each on its own, to compare.
    checkpointing: recompute activations in the backward pass: less memory, a third more work.
    bf16: compute in bfloat16 (the weights stay float32).
    report_to: a tracker that `transformers` knows, for example `tensorboard` or `wandb`, or a list
        of them.

    The last five, and `save_steps` without `holdout`, change how the weights are computed, not
    which: an unfinished training goes on with other values of them.
    """

    epochs: int = 3
    lr: float = 1e-5  # SIGMA's for LLaMA3-8B
    batch: int = 128  # SIGMA: 8 per device x 4 accumulated x 4 GPUs
    batch_of: Literal["examples", "states"] = "examples"
    max_length: int = 4096
    warmup: float = 0.03
    weight_decay: float = 0.0
    clip: float = 1.0
    lora: Lora = Lora()
    holdout: float = 0.0
    patience: int = 2
    seed: int = 0
    save_steps: int = 0
    tokens: int = 4096
    packed: bool = True
    checkpointing: bool = False
    bf16: bool = False
    report_to: str | tuple[str, ...] = ()
    reference: Path | None = field(default=None, metadata={"quiet": True})
    carry: bool = field(default=False, metadata={"quiet": True})

    @property
    def trackers(self) -> tuple[str, ...]:
        """The names in `report_to`."""
        return (self.report_to,) if isinstance(self.report_to, str) else self.report_to

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "max_length", "patience", "tokens"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 < self.lr < math.inf or not self.clip > 0:
            raise UserError("lr and clip must be above 0, and lr a number")
        if not 0 <= self.seed < _SEEDS:
            raise UserError(f"seed must be from 0 to {_SEEDS - 1:,}, not {self.seed}")
        if not 0 <= self.warmup <= 1 or not 0 <= self.holdout < 1:
            raise UserError("warmup must be in [0, 1] and holdout in [0, 1)")
        if self.reference and not (self.reference / "config.json").is_file():
            raise UserError(f"reference: {self.reference} is no model folder")
        if self.carry and (self.lora.rank or self.holdout):
            raise UserError(
                "carry is for all weights of the last step: adapters begin anew in each training, "
                "and holdout takes the weights of an earlier step; set lora.rank=0 and holdout=0"
            )
        if not 0 <= self.weight_decay < math.inf or self.save_steps < 0:
            raise UserError("weight_decay and save_steps must not be negative")


def check_whole(settings: Training) -> None:
    """Raises `UserError` if a training leaves an adapter, where the model that it makes is to
    search or to be measured."""
    if settings.lora.rank and not settings.lora.merge:
        raise UserError(
            "train.lora.merge = false leaves an adapter alone, which can neither search nor be "
            "measured; leave it out here, and let `whorl train` make one of the examples"
        )


def check_trackers(names: Sequence[str]) -> None:
    """Raises `UserError` if a tracker is unknown or not installed; the message says what to
    install."""
    for name in names:
        from transformers.integrations import integration_utils  # takes seconds

        try:
            find: Any = integration_utils.get_reporting_integration_callbacks
            (tracker,) = find([name])
            tracker()
        except Exception as error:  # each tracker has its own way to say what it lacks
            raise UserError(f"report_to = {name}: {reason(error)}") from error


EXECUTION = ("save_steps", "tokens", "packed", "checkpointing", "bf16", "report_to")
"""Settings that an unfinished training may be continued with other values of."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """The result of a training.

    loss: mean over the optimizer steps of the last epoch: for likelihood, nats per completion token
        (per completion, if the objective averages so); for preference, nats per pair.
    steps: optimizer steps.
    examples: examples trained on in each epoch.
    tokens: their completion tokens.
    dropped: examples left out, by reason: `too long`, `empty` (nothing to learn), `held out`.
    negative: share of the examples with a negative weight.
    sharing: tokens of the examples for each token that was computed, padding included; 1 / sharing
        is what packing left of the work.
    held_out: loss on the held-out questions, at its lowest; None if none were held out.
    auc, accuracy: of a process reward model, on their steps (`learn/prm.py`).
    """

    loss: float
    steps: int
    examples: int
    tokens: int
    dropped: Mapping[str, int]
    negative: float = 0.0
    sharing: float = 1.0
    held_out: float | None = None
    auc: float | None = None
    accuracy: float | None = None

    def __str__(self) -> str:
        left_out = "".join(f"; left out: {why}: {n:,}" for why, n in sorted(self.dropped.items()))
        held = "" if self.held_out is None else f", {self.held_out:.4f} on what was held out"
        return (
            f"{self.steps:,} steps on {self.examples:,} examples, {self.tokens:,} tokens, loss "
            f"{self.loss:.4f}{held}{left_out}"
        )


class TrainingWatch(Protocol):
    """Protocol of displays of a training."""

    def training(self, step: int, steps: int, loss: float) -> None:
        """Show optimizer step `step` of `steps`, and the mean loss since the last call."""

    def say(self, line: str) -> None:
        """Show a line of text."""

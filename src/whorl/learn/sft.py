"""What fine-tuning is told, and what it reports."""

from collections.abc import Mapping
from dataclasses import dataclass

from whorl.errors import UserError


@dataclass(frozen=True, slots=True)
class Sft:
    """Supervised fine-tuning as in SIGMA (2506.06470): AdamW, cosine decay after a warm-up.

    epochs: passes over the examples.
    lr: peak learning rate.
    batch: examples per optimizer step.
    per_device: examples per forward pass; the rest of a batch is accumulated. A tiny model trains
        fastest with `per_device` = `batch`.
    max_length: tokens of context + completion; a longer example is dropped and counted.
    warmup: share of the steps, in [0, 1].
    weight_decay: of the matrices; the paper does not state it.
    clip: largest norm of the gradient; the paper does not state it.
    bf16: compute in bfloat16 (the weights stay float32).
    save_steps: optimizer steps between checkpoints; 0 is once an epoch.
    seed: fixes the order of the examples.
    """

    epochs: int = 3
    lr: float = 1e-5  # LLaMA3-8B; 5e-5 for DeepSeekMath-7B, 4e-6 for Mistral-7B
    batch: int = 128  # 8 per device x 4 accumulated x 4 GPUs
    per_device: int = 8
    max_length: int = 4096
    warmup: float = 0.03
    weight_decay: float = 0.0
    clip: float = 1.0
    bf16: bool = False
    save_steps: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch, self.per_device, self.max_length) < 1:
            raise UserError("epochs, batch, per_device and max_length must be at least 1")
        if self.batch % self.per_device:
            raise UserError(
                f"batch must be a multiple of per_device, not {self.batch} of {self.per_device}"
            )
        if not self.lr > 0 or not self.clip > 0:
            raise UserError("lr and clip must be above 0")
        if not 0 <= self.warmup <= 1 or self.weight_decay < 0 or self.save_steps < 0:
            raise UserError(
                "warmup must be in [0, 1], weight_decay and save_steps must not be negative"
            )


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a training did.

    loss: mean weighted negative log-likelihood per completion token, in nats, over the steps of
        the last epoch.
    steps: optimizer steps.
    examples: examples trained on in each epoch.
    tokens: their completion tokens.
    dropped: examples left out, by reason: `too long`, `empty` (nothing to learn).
    """

    loss: float
    steps: int
    examples: int
    tokens: int
    dropped: Mapping[str, int]

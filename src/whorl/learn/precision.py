"""Precision in which a training computes, and what another one would save."""

from collections.abc import Mapping

import torch

from whorl.learn.training import Training

LARGE = 50_000_000
"""Weights from which products take most of a step's time."""


def advice(settings: Training, weights: int) -> str:
    """A setting that would train faster on this machine, in words; empty if there is none.

    weights: of the model. Where a processor has instructions for bfloat16, training in it takes
    about half the time (docs/log.md, "Training in bfloat16").
    """
    if settings.bf16 or weights < LARGE or torch.accelerator.is_available() or not _native():
        return ""
    return (
        "this processor multiplies bfloat16 twice as fast as float32: train.bf16=true trains in "
        "about half the time, to weights that differ by rounding"
    )


def _native() -> bool:
    """Whether the processor has instructions for bfloat16, as far as this torch can tell."""
    has: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(has.get(name) for name in ("avx512_bf16", "amx_bf16"))

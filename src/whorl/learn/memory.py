"""Giving the memory of a finished training back."""

import ctypes
import gc
import sys

import torch

_FEW = 50_000_000


def give_back(weights: int) -> None:
    """Give the memory of a training that is over back to the system, and to others on its GPU: what
    samples next in this process or beside it may need it.

    Trainer, model and optimizer point to each other, so that they stay until Python happens to look
    for such circles, and then the C library and torch keep what is free for themselves: of half a
    billion weights 7 GB. weights: of the model; where they are few, looking takes longer than it is
    worth.
    """
    if weights < _FEW:
        return
    gc.collect()
    if torch.accelerator.is_available():
        torch.accelerator.empty_cache()
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)  # of glibc; musl has none

"""The running batch's keys and values: one row per sample, slots numbered by token position."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

_VECTOR = 16  # slots: a sum over whole vectors has no ragged end to round differently
_LEAST = 400  # multiplications of a product; below, torch has another kernel


class Rows:
    """Keys and values `[layers, 2, rows, kv heads, capacity, D]`.

    Slots past a row's last position hold finite rubbish, which attention masks.
    """

    def __init__(
        self, layers: int, rows: int, kv_heads: int, head_dim: int, *, dtype: torch.dtype
    ) -> None:
        self.kv_heads = kv_heads
        self._round = _VECTOR
        while self._round * head_dim < _LEAST:
            self._round *= 2
        self._take(_zeros((layers, 2, rows, kv_heads, 256, head_dim), dtype))

    def _take(self, memory: Tensor) -> None:
        self.memory = memory
        self._flat = memory.view(*memory.shape[:2], -1, memory.shape[-1]).unbind(0)
        self._heads = memory.flatten(2, 3).unbind(0)  # [2, rows * kv heads, capacity, D]

    def reserve(self, end: int, used: int) -> None:
        """Make room for positions below `end`; what the first `used` rows hold is kept."""
        capacity = self.memory.shape[4]
        if end > capacity:
            shape = list(self.memory.shape)
            shape[4] = max(self.span(end), 2 * capacity)
            grown = _zeros(shape, self.memory.dtype)
            grown[:, :, :used, :, :capacity] = self.memory[:, :, :used]
            self._take(grown)

    def span(self, end: int) -> int:
        """How many slots a product over the positions below `end` has to take."""
        return -(-end // self._round) * self._round

    def slots(self, first: int, positions: Tensor) -> Tensor:
        """Where tokens at `positions` `[A, L]` of rows `first + a` go: `[A * L, kv heads]`."""
        count = positions.shape[0]
        heads = torch.arange(first * self.kv_heads, (first + count) * self.kv_heads)
        base = heads.view(count, 1, self.kv_heads) * self.memory.shape[4]
        return (base + positions[..., None]).view(-1, self.kv_heads)

    def write(self, layer: int, slots: Tensor, keys: Tensor, values: Tensor) -> None:
        """Keys and values `[A * L, kv heads, D]` into `slots`."""
        size = self.memory.shape[-1]
        for memory, new in zip(self._flat[layer], (keys, values), strict=True):
            memory.index_copy_(0, slots, new.reshape(-1, size))

    def read(self, layer: int, begin: int, end: int, span: int) -> Tensor:
        """Keys and values `[2, (end - begin) * kv heads, span, D]` of a range of rows."""
        return self._heads[layer][:, begin * self.kv_heads : end * self.kv_heads, :span]

    def copy(self, source: int, targets: list[int], length: int) -> None:
        """The first `length` positions of row `source` into rows `targets`."""
        held = self.memory[:, :, source, :, :length]
        for target in targets:
            self.memory[:, :, target, :, :length] = held


def _zeros(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Zeros that cost no memory until they are written, which torch's own do; in large pages, which
    are read faster."""
    size = math.prod(shape) * dtype.itemsize
    return torch.from_numpy(np.zeros(size, dtype=np.uint8)).view(dtype).view(*shape)

"""The running batch's keys and values: one row per sample, slots numbered by token position."""

import torch
from torch import Tensor

_ROUND = 16  # slots per step of growth: whole vectors, so that no sum has a ragged end
_LEAST = 64  # slots a product spans at least: below 400 multiplications torch has another kernel


class Rows:
    """Keys and values `[layers, 2, rows, kv heads, capacity, D]`.

    Slots past a row's last position hold finite rubbish, which attention masks.
    """

    def __init__(
        self, layers: int, rows: int, kv_heads: int, head_dim: int, *, dtype: torch.dtype
    ) -> None:
        self.kv_heads = kv_heads
        # Zeros cost no memory until they are written.
        self.memory = torch.zeros(layers, 2, rows, kv_heads, 256, head_dim, dtype=dtype)

    def reserve(self, end: int) -> int:
        """Make room for positions below `end`; slots that a product over them should span."""
        span = max(_LEAST, -(-end // _ROUND) * _ROUND)
        capacity = self.memory.shape[4]
        if span > capacity:
            shape = list(self.memory.shape)
            shape[4] = max(span, 2 * capacity)
            grown = torch.zeros(shape, dtype=self.memory.dtype)
            grown[..., :capacity, :] = self.memory
            self.memory = grown
        return span

    def slots(self, first: int, positions: Tensor) -> Tensor:
        """Where tokens at `positions` `[A, L]` of rows `first + a` go: `[A * L * kv heads]`."""
        count = positions.shape[0]
        heads = torch.arange(first * self.kv_heads, (first + count) * self.kv_heads)
        base = heads.view(count, 1, self.kv_heads) * self.memory.shape[4]
        return (base + positions[..., None]).view(-1)

    def write(self, layer: int, slots: Tensor, keys: Tensor, values: Tensor) -> None:
        """Keys and values `[A * L, kv heads, D]` into `slots`."""
        size = self.memory.shape[-1]
        for memory, new in zip(self.memory[layer], (keys, values), strict=True):
            memory.view(-1, size).index_copy_(0, slots, new.reshape(-1, size))

    def read(self, layer: int, first: int, count: int, span: int) -> tuple[Tensor, Tensor]:
        """Keys and values `[count * kv heads, span, D]` of rows from `first` on."""
        keys, values = self.memory[layer, :, first : first + count].flatten(1, 2)[:, :, :span]
        return keys, values

    def copy(self, source: int, targets: list[int], length: int) -> None:
        """The first `length` positions of row `source` into rows `targets`."""
        held = self.memory[:, :, source, :, :length]
        for target in targets:
            self.memory[:, :, target, :, :length] = held

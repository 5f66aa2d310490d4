"""A cache of prompts' keys and values, by blocks of tokens: a prompt that continues another one
computes only what is new."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor

BLOCK = 8  # tokens

_Key = tuple[int, tuple[int, ...]]  # serial number of the block before, token ids


class Prefixes:
    """At most `capacity` bytes of blocks; the least recently used go first.

    A block is named by the block before it and its own tokens, so it stands for the whole text up
    to its end. `rows` arguments are `Rows.memory`.
    """

    def __init__(self, memory: Tensor, *, capacity: int) -> None:
        layers, two, _, heads, _, size = memory.shape
        shape = (layers, two, heads, BLOCK, size)
        block_bytes = layers * two * heads * BLOCK * size * memory.element_size()
        self._room = capacity // block_bytes
        # Memory is taken from the system only where blocks are written.
        self._blocks = torch.empty(self._room, *shape, dtype=memory.dtype)
        self._known: OrderedDict[_Key, tuple[int, int]] = OrderedDict()  # -> slot, serial
        self._serials = 0

    def __len__(self) -> int:
        return len(self._known)

    def known(self, ids: Sequence[int]) -> int:
        """Length in tokens of the longest known prefix of `ids`, short of the last token."""
        return len(self._chain(ids, (len(ids) - 1) // BLOCK)) * BLOCK

    def load(self, ids: Sequence[int], memory: Tensor, row: int) -> None:
        """Copy the first `known(ids)` positions into a row."""
        chain = self._chain(ids, (len(ids) - 1) // BLOCK)
        if not chain:
            return
        blocks = self._blocks[[self._known[key][0] for key in chain]]
        target = memory[:, :, row, :, : len(chain) * BLOCK]
        _blocked(target).copy_(blocks.permute(1, 2, 3, 0, 4, 5))
        self._touch(chain)

    def save(self, ids: Sequence[int], memory: Tensor, row: int) -> None:
        """Keep the whole blocks of a row that holds `ids`."""
        count = min(len(ids) // BLOCK, self._room)
        chain = self._chain(ids, count)
        self._touch(chain)  # so that making room does not take them
        known = len(chain)
        serial = self._known[chain[-1]][1] if chain else 0
        slots: list[int] = []
        for start in range(known * BLOCK, count * BLOCK, BLOCK):
            key = (serial, tuple(ids[start : start + BLOCK]))
            slot = self._slot()
            self._serials += 1
            serial = self._serials
            self._known[key] = slot, serial
            slots.append(slot)
            chain.append(key)
        if slots:
            new = memory[:, :, row, :, known * BLOCK : count * BLOCK]
            self._blocks[slots] = _blocked(new).permute(3, 0, 1, 2, 4, 5)
        self._touch(chain)

    def _chain(self, ids: Sequence[int], count: int) -> list[_Key]:
        """Keys of the known ones among the first `count` blocks of `ids`."""
        chain: list[_Key] = []
        serial = 0
        for start in range(0, count * BLOCK, BLOCK):
            key = (serial, tuple(ids[start : start + BLOCK]))
            found = self._known.get(key)
            if found is None:
                break
            serial = found[1]
            chain.append(key)
        return chain

    def _touch(self, chain: Sequence[_Key]) -> None:
        """Mark as just used, the last block first: no block outlives the one before it."""
        for key in reversed(chain):
            self._known.move_to_end(key)

    def _slot(self) -> int:
        if len(self._known) < self._room:
            return len(self._known)
        return self._known.popitem(last=False)[1][0]


def _blocked(slots: Tensor) -> Tensor:
    """`[layers, 2, kv heads, T, D]` as `[layers, 2, kv heads, T / BLOCK, BLOCK, D]`."""
    return slots.view(*slots.shape[:3], -1, BLOCK, slots.shape[-1])

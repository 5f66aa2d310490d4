"""Prefix-tree packing: what examples share is computed once.

Examples of one search share their question and their first steps. A row of a batch holds them as a
forest of tokens, depth first: a token attends to its ancestors only, and its position is its depth.
So every path through the forest is computed as if it stood alone, and a shared token only once
(Tree Training, 2511.00413).
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whorl.learn.corpus import Encoded, Ids

LAUNCH = 64
"""What one forward and backward pass costs besides its tokens, in tokens (docs/log.md)."""


@dataclass(frozen=True, slots=True)
class PrefixTree:
    """A forest of N tokens in depth-first order.

    ids: token ids.
    depths: tokens before it on its path, which is its position.
    parents: index of the token before it; -1 where a path begins.
    ends: one past the last token of its subtree: token i sees token j iff `j <= i < ends[j]`.
    paths: for each sequence that was put in, the indices of its tokens.
    """

    ids: Ids  # [N]
    depths: Ids  # [N]
    parents: Ids  # [N]
    ends: Ids  # [N]
    paths: list[NDArray[np.intp]]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def branches(self) -> bool:
        """Whether it is more than one sequence."""
        return bool((self.parents != np.arange(-1, len(self) - 1)).any())


def prefix_tree(sequences: Sequence[Ids]) -> PrefixTree:
    """The forest in which sequences share the tokens with which they begin alike."""
    order = sorted(range(len(sequences)), key=lambda i: sequences[i].tobytes())
    paths: list[NDArray[np.intp]] = [np.empty(0, np.intp)] * len(sequences)
    total = sum(map(len, sequences))
    ids, depths, parents, ends = (np.empty(total, np.int32) for _ in range(4))
    size = 0
    before, path = np.empty(0, np.int32), np.empty(0, np.intp)
    for i in order:
        sequence = sequences[i]
        shared = _shared(before, sequence)
        ends[path[shared:]] = size  # these subtrees are complete
        new = np.arange(size, size + len(sequence) - shared)
        ids[new] = sequence[shared:]
        depths[new] = np.arange(shared, len(sequence))
        parents[new] = new - 1
        if len(new):
            parents[size] = path[shared - 1] if shared else -1
        before, path = sequence, np.concatenate([path[:shared], new])
        paths[i] = path
        size += len(new)
    ends[path] = size
    return PrefixTree(ids[:size], depths[:size], parents[:size], ends[:size], paths)


class Growing:
    """The number of tokens of a prefix tree, while sequences are put into it."""

    def __init__(self) -> None:
        self.size = 0
        self._keys: list[bytes] = []
        self._sequences: list[Ids] = []

    def add(self, sequence: Ids) -> None:
        """Only what no sequence before began with is new."""
        key = sequence.tobytes()
        at = bisect_left(self._keys, key)
        neighbours = self._sequences[max(0, at - 1) : at + 1]
        self.size += len(sequence) - max((_shared(n, sequence) for n in neighbours), default=0)
        self._keys.insert(at, key)
        self._sequences.insert(at, sequence)


@dataclass(frozen=True, slots=True)
class Costs:
    """What a batch may hold, and what computing it costs.

    tokens: in one forward pass, padding included.
    even: row length at which attention, which sees the whole row, costs as much as the rest of the
        model; infinite where it skips what a mask hides (FlexAttention).
    single: rows are not padded to a common length but go one at a time.
    packed: examples share rows; otherwise every path is a row of its own, padded to the longest.
    """

    tokens: int
    even: float = math.inf
    single: bool = False
    packed: bool = True

    def row(self, length: int) -> float:
        """Cost of a row, in tokens."""
        return length * (1 + length / self.even)


def batches(examples: Iterable[Encoded], costs: Costs) -> list[list[list[Encoded]]]:
    """The examples as batches of rows, at the least cost: batch -> row -> examples.

    Rows are runs of examples in depth-first order. So a forest longer than a batch is split where
    least is computed twice, and small trees come together in a row. A pair stays in one batch. What
    does not fit into `costs.tokens` alone is a batch of its own.
    """
    ordered = sorted(examples, key=lambda example: example.paths[0].ids.tobytes())
    lengths: dict[tuple[int, int], int] = {}

    def row_costs(first: int) -> Iterable[float]:
        """Costs of rows from `first` on, of ever more examples."""
        growing = Growing()
        for i in range(first, len(ordered) if costs.packed else first + 1):
            for path in ordered[i].paths:
                growing.add(path.ids)
            if growing.size > costs.tokens and i > first:
                return
            length = growing.size if costs.packed else max(map(len, ordered[i].paths))
            lengths[first, i + 1] = length
            yield costs.row(length) + (LAUNCH if costs.single else 0)

    runs = partition(len(ordered), row_costs)
    runs.sort(key=lambda run: lengths[run], reverse=True)

    def batch_costs(first: int) -> Iterable[float]:
        """Costs of batches from row `first` on; the first row is the longest."""
        length = lengths[runs[first]]
        high = 1 if costs.packed else len(ordered[0].paths)
        for runs_in in range(1, 2 if costs.single else len(runs) - first + 1):
            if runs_in * high * length > costs.tokens and runs_in > 1:
                return
            yield runs_in * high * costs.row(length) + LAUNCH

    return [
        [ordered[a:b] for a, b in runs[first:last]]
        for first, last in partition(len(runs), batch_costs)
    ]


def partition(count: int, costs: Callable[[int], Iterable[float]]) -> list[tuple[int, int]]:
    """Cut `range(count)` into runs (first, last + 1) of the least total cost.

    `costs(i)` are the costs of the runs that begin at i, the shortest first, as far as runs may go.
    """
    best = [0.0] + [math.inf] * count
    cut = [0] * (count + 1)
    for first in range(count):
        for last, cost in enumerate(costs(first), start=first + 1):
            if best[first] + cost < best[last]:
                best[last], cut[last] = best[first] + cost, first
    runs = []
    last = count
    while last:
        runs.append((cut[last], last))
        last = cut[last]
    return runs[::-1]


def _shared(a: Ids, b: Ids) -> int:
    """How many tokens two sequences begin with in common."""
    length = min(len(a), len(b))
    differ = a[:length] != b[:length]
    return int(differ.argmax()) if differ.any() else length

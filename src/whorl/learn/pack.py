"""Prefix-tree packing: what examples share is computed once.

Examples of one search share their question and their first steps. A batch holds them as a forest of
tokens, depth first: a token attends to its ancestors only, and its position is its depth. So every
path through the forest is computed as if it stood alone, and a shared token only once (Tree
Training, 2511.00413).
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from whorl.learn.corpus import Encoded, Ids

WORTH = 1.15
"""Tokens that must be saved for each one gathered: gathering costs that much more (docs/log.md)."""

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


class TokenCount:
    """Number of tokens of a prefix tree, while sequences are added."""

    def __init__(self) -> None:
        self.size = 0
        self._keys: list[bytes] = []
        self._sequences: list[Ids] = []

    def add(self, sequence: Ids) -> None:
        """Add a sequence; only tokens with which no earlier sequence began are new."""
        key = sequence.tobytes()
        at = bisect_left(self._keys, key)
        neighbours = self._sequences[max(0, at - 1) : at + 1]
        self.size += len(sequence) - max((_shared(n, sequence) for n in neighbours), default=0)
        self._keys.insert(at, key)
        self._sequences.insert(at, sequence)


BLOCK = 64
"""Tokens that attend together: fewer gather more often, more see more that is not theirs."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """The tokens of a row in n blocks of Q, each with the K tokens that any of them may see.

    keys: `[n, K]` indices of tokens: the ancestors of the block's first token, then the block
        itself; 0 beyond that.
    seen: `[n, Q, K]` whether a token sees that one. Padding sees the first.
    """

    keys: NDArray[np.int64]
    seen: NDArray[np.bool_]


def cut_blocks(tree: PrefixTree, *, size: int = BLOCK) -> Blocks:
    """Cut a row into blocks of `size` tokens.

    In depth-first order whatever a block's tokens see beyond the block precedes its first token on
    that token's path, so a block needs depth + size keys, and not the whole row.
    """
    starts = range(0, len(tree), size)
    known = []
    for start in starts:
        own = np.arange(start, min(start + size, len(tree)))
        known.append(np.concatenate([_above(tree, start), own]))
    most = max(map(len, known))
    keys = np.zeros((len(starts), most), np.int64)
    seen = np.zeros((len(starts), size, most), bool)
    for block, (start, at) in enumerate(zip(starts, known, strict=True)):
        tokens = np.arange(start, min(start + size, len(tree)))[:, None]
        keys[block, : len(at)] = at
        seen[block, : len(tokens), : len(at)] = (at <= tokens) & (tokens < tree.ends[at])
        seen[block, len(tokens) :, 0] = True
    return Blocks(keys, seen)


JOIN = 256
"""What one more call of attention costs, in blocks times keys (docs/log.md)."""


def block_runs(blocks: Blocks) -> list[tuple[int, int]]:
    """Runs of blocks to compute together: the end of each run, and the most keys of its blocks.

    Deep blocks have many keys; a run by itself spares the others theirs.
    """
    used: NDArray[np.bool_] = np.any(blocks.seen, axis=1)
    lengths = used.shape[1] - used[:, ::-1].argmax(1)

    def costs(first: int) -> Iterable[float]:
        most = 0
        for count, length in enumerate(lengths[first:], start=1):
            most = max(most, int(length))
            yield count * most + JOIN

    found = partition(len(lengths), costs)
    return [(last, int(lengths[first:last].max())) for first, last in found]


def _above(tree: PrefixTree, token: int) -> NDArray[np.intp]:
    """The token's ancestors, the first token of its path first."""
    above = []
    while (token := int(tree.parents[token])) >= 0:
        above.append(token)
    return np.array(above[::-1], np.intp)


@dataclass(frozen=True, slots=True)
class Packing:
    """Settings of packing.

    tokens: in a batch at most, padding included.
    form: `gathered` and `flex` are one row of prefix trees, for the two ways of attending to
        ancestors only (`attention.py`); `padded` is a row for each path, nothing shared.
    """

    tokens: int
    form: Literal["gathered", "flex", "padded"]


def batches(examples: Iterable[Encoded], packing: Packing) -> list[list[Encoded]]:
    """Partition examples into batches of at most `packing.tokens` tokens with the least
    computation.

    A batch of prefix trees is a run of examples in depth-first order, so a tree longer than a batch
    is split where least is computed twice, and small trees come together. A batch of padded rows
    is a run of examples by length. What does not fit alone is a batch of its own.
    """
    if packing.form == "padded":
        ordered = sorted(examples, key=_longest, reverse=True)
    else:
        ordered = sorted(examples, key=lambda example: example.paths[0].ids.tobytes())

    def costs(first: int) -> Iterable[float]:
        growing = TokenCount()
        for example in ordered[first:]:
            if packing.form == "padded":
                growing.size += len(example.paths) * _longest(ordered[first])
            else:
                for path in example.paths:
                    growing.add(path.ids)
            if growing.size > packing.tokens and example is not ordered[first]:
                return
            yield growing.size + LAUNCH

    return [ordered[first:last] for first, last in partition(len(ordered), costs)]


def cheaper_packing(examples: Sequence[Encoded], packing: Packing) -> Packing:
    """`packing`, or padded rows where too little is shared to pay for gathering."""
    if packing.form != "gathered":
        return packing
    padded = Packing(packing.tokens, "padded")
    worth = real_tokens(examples, padded) > WORTH * real_tokens(examples, packing)
    return packing if worth else padded


def real_tokens(examples: Iterable[Encoded], packing: Packing) -> int:
    """Number of tokens of the examples in one batch, without padding."""
    paths = (path for example in examples for path in example.paths)
    if packing.form == "padded":
        return sum(map(len, paths))
    growing = TokenCount()
    for path in paths:
        growing.add(path.ids)
    return growing.size


def computed_tokens(batch: Sequence[Encoded], packing: Packing) -> int:
    """Number of tokens of a batch, with padding."""
    if packing.form == "padded":
        return sum(len(example.paths) for example in batch) * max(map(_longest, batch))
    return real_tokens(batch, packing)


def _longest(example: Encoded) -> int:
    return max(map(len, example.paths))


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
    """Length of the common beginning of two sequences."""
    length = min(len(a), len(b))
    differ = a[:length] != b[:length]
    return int(differ.argmax()) if differ.any() else length

"""Batches as tensors, with the coefficients that the objective gives each token.

Shapes: B rows of T tokens, M targets (tokens with a loss), L targets of all paths (one that paths
share counts for each), n blocks of Q tokens that attend to K.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypedDict, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whorl.example import Likelihood, Objective, Preference
from whorl.learn.corpus import Encoded, TokenPath
from whorl.learn.pack import Packing, PrefixTree, block_runs, cut_blocks, prefix_tree

LogProbs: TypeAlias = Sequence[NDArray[np.float32]]
"""Another model's log-probability of every completion token, by path of the corpus: the reference
model's, or the teacher's."""


class Batch(TypedDict, total=False):
    """Tensors of a forward pass and its loss.

    ids: `[B, T]` token ids; one row of prefix trees, or paths padded on the right.
    positions: `[1, T]` positions of the tokens of prefix trees.
    keys, seen: `[n, K]`, `[n, 1, Q, K]` what each block of Q tokens may attend to (`Blocks`).
    runs: the blocks that are computed together (`pack.block_runs`).
    ends: `[1, T]` one past the last token of a token's subtree, for FlexAttention.
    keep: positions within a row at which logits are needed in any row.
    at: `[M]` where a target is predicted among the kept logits, row by row.
    tokens: `[M]` targets: the token ids to be predicted.
    weights: `[M]` coefficients of the targets' negative log-likelihood; of their distance from the
        teacher, where there is one.
    falls: `[M]` their negative part, of a clipped ratio alone: one that paths share has both.
    kl: `[M]` coefficients of the penalty at the targets.
    reference: `[M]` log-probabilities under the reference model or the teacher; absent if not
        needed.
    start: `[M]` log-probabilities when training started; absent without a ratio.
    members, sides: `[L]` the targets of each path, one path after the other, and the number of the
        path, which is 2 p for the chosen one of pair p and 2 p + 1 for the rejected one.
    pair: coefficient of each pair's loss.
    paths: how many there are.
    origins: where the examples come from.
    """

    ids: Tensor
    positions: Tensor
    keys: Tensor
    seen: Tensor
    runs: list[tuple[int, int]]
    ends: Tensor
    keep: Tensor
    at: Tensor
    tokens: Tensor
    weights: Tensor
    falls: Tensor
    kl: Tensor
    reference: Tensor
    start: Tensor
    members: Tensor
    sides: Tensor
    pair: float
    paths: int
    origins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """Totals over the examples of one optimizer step, by which their loss is divided.

    examples: how many; tokens: completion tokens, of chosen completions only if they are pairs.
    """

    examples: int
    tokens: int

    @classmethod
    def of(cls, examples: Sequence[Encoded]) -> "Share":
        return cls(len(examples), sum(example.paths[0].learnt for example in examples))


def lay_out(
    examples: Sequence[Encoded],
    objective: Objective,
    share: Share,
    packing: Packing,
    reference: LogProbs | None = None,
    start: LogProbs | None = None,
) -> Batch:
    """Lay examples out as a batch. The losses of a step's batches add up to the step's mean
    loss."""
    paths = [path for example in examples for path in example.paths]
    sequences = [path.ids for path in paths]
    if packing.form == "padded":
        trees = [prefix_tree([sequence]) for sequence in sequences]
    else:
        trees = [prefix_tree(sequences)]
    shape = len(trees), max(map(len, trees))
    nodes = [row * shape[1] + path for row, tree in enumerate(trees) for path in tree.paths]
    learnt = [at[path.start :] for at, path in zip(nodes, paths, strict=True)]

    weights, falls, kl = (np.zeros(shape[0] * shape[1], np.float32) for _ in range(3))
    target = np.zeros(shape[0] * shape[1], bool)
    first = 0  # number of the example's first path in this batch
    for example in examples:
        for side, path in enumerate(example.paths):
            at = learnt[first + side]
            target[at] = True
            weight, penalty = _coefficients(objective, share, example, path, side)
            weights[at] += weight
            falls[at] += min(weight, 0.0)
            kl[at] += penalty
        first += len(example.paths)

    batch = _tokens(trees, shape, target)
    if packing.form != "padded":
        batch |= _ancestors(trees[0], packing)
    chosen = np.flatnonzero(target)
    number = np.cumsum(target) - 1
    batch |= Batch(
        weights=torch.from_numpy(weights[chosen]),
        kl=torch.from_numpy(kl[chosen]),
        members=torch.from_numpy(number[np.concatenate(learnt)]),
        sides=torch.from_numpy(np.repeat(np.arange(len(learnt)), list(map(len, learnt)))),
        pair=1 / share.examples,
        paths=len(paths),
        origins=tuple(example.origin for example in examples),
    )
    if reference is not None:
        batch["reference"] = _known(reference, examples, learnt, len(target))[chosen]
    if start is not None:
        batch["start"] = _known(start, examples, learnt, len(target))[chosen]
        batch["falls"] = torch.from_numpy(falls[chosen])
    return batch


def _known(
    told: LogProbs, examples: Sequence[Encoded], learnt: Sequence[NDArray[np.int64]], size: int
) -> Tensor:
    """Log-probabilities `[size]` of another model where the tokens of paths stand in a batch."""
    values = np.zeros(size, np.float32)
    numbers = (e.first + side for e in examples for side in range(len(e.paths)))
    for at, number in zip(learnt, numbers, strict=True):
        values[at] = told[number]
    return torch.from_numpy(values)


def _coefficients(
    objective: Objective, share: Share, example: Encoded, path: TokenPath, side: int
) -> tuple[float, float]:
    """Coefficients of a completion's tokens: of their negative log-likelihood, and of their
    penalty."""
    if isinstance(objective, Preference):
        return (objective.nll / share.tokens if side == 0 else 0.0), 0.0
    part = {
        "token": 1 / share.tokens,
        "completion": 1 / (share.examples * path.learnt),
        "sum": 1 / share.examples,
    }[objective.average]
    penalty = objective.kl if isinstance(objective, Likelihood) else 0.0
    return example.weight * part, penalty * part


def _tokens(
    trees: Sequence[PrefixTree], shape: tuple[int, int], target: NDArray[np.bool_]
) -> Batch:
    """Token ids of the rows, and the positions at which targets are predicted."""
    ids, parents = (np.zeros(shape, np.int64) for _ in range(2))
    for row, tree in enumerate(trees):
        ids[row, : len(tree)] = tree.ids
        parents[row, : len(tree)] = tree.parents
    chosen = np.flatnonzero(target)
    keep, place = np.unique(parents.ravel()[chosen], return_inverse=True)
    return Batch(
        ids=torch.from_numpy(ids),
        keep=torch.from_numpy(keep),
        at=torch.from_numpy(chosen // shape[1] * len(keep) + place),
        tokens=torch.from_numpy(ids.ravel()[chosen]),
    )


def _ancestors(tree: PrefixTree, packing: Packing) -> Batch:
    """Positions of the tokens of a row, and what each may attend to."""
    batch = Batch(positions=torch.from_numpy(tree.depths[None].astype(np.int64)))
    if packing.form == "flex":
        batch["ends"] = torch.from_numpy(tree.ends[None].astype(np.int64))
    else:
        blocks = cut_blocks(tree)
        batch["keys"] = torch.from_numpy(blocks.keys)
        batch["seen"] = torch.from_numpy(blocks.seen[:, None])
        batch["runs"] = block_runs(blocks)
    return batch


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch with its tensors on `device`."""
    return cast(Batch, {k: v.to(device) if isinstance(v, Tensor) else v for k, v in batch.items()})

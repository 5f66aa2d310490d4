"""Attention to ancestors only: on a GPU by FlexAttention, elsewhere by gathering keys.

Shapes: T tokens of one row of prefix trees, n blocks of Q tokens, each of which attends to K.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask, create_block_mask
from torch.nn.functional import pad
from transformers import AttentionInterface
from transformers.integrations.flex_attention import flex_attention_forward
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from whorl.learn.layout import Batch

GATHERED = "whorl_gathered"
"""The name under which `transformers` knows `gathered`."""

FLEX = "whorl_flex"
"""The name under which `transformers` knows `flex`."""


def register() -> None:
    """Make `gathered` and `flex` attention implementations of `transformers` models."""
    AttentionInterface.register(GATHERED, gathered)
    AttentionInterface.register(FLEX, flex)


def options(batch: Batch) -> dict[str, Any]:
    """Arguments that tell a model to attend along the trees of a batch; none for padded batches."""
    if "keys" in batch:
        return {
            "position_ids": batch["positions"],
            "blocks": (batch["keys"], batch["seen"], batch["runs"]),
        }
    if "ends" in batch:
        return {"position_ids": batch["positions"], "attention_mask": block_mask(batch["ends"])}
    return {}


def gathered(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    blocks: tuple[Tensor, Tensor, list[tuple[int, int]]] | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention of each block of tokens to the keys gathered for it.

    A dense mask over the row would cost T x T products, most of them for nothing; this costs T x K,
    for the K of each run of blocks.
    query: `[1, heads, T, head size]`. blocks: keys, seen and runs of a batch; without, it is the
    ordinary kind.
    """
    if blocks is None:
        result: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, **others
        )
        return result
    keys, seen, runs = blocks
    (_, heads, length, size), (count, _) = query.shape, keys.shape
    width = seen.shape[2]
    query = pad(query[0], (0, 0, 0, count * width - length)).view(heads, count, width, size)
    found = []
    first = 0
    for last, most in runs:
        at = keys[first:last, :most].flatten()
        key_states, value_states = (
            states[0].index_select(1, at).view(-1, last - first, most, size).transpose(0, 1)
            for states in (key, value)
        )
        part, _ = sdpa_attention_forward(
            module,
            query[:, first:last].transpose(0, 1),
            key_states,
            value_states,
            seen[first:last, ..., :most],
            **others,
        )
        found.append(part)
        first = last
    return torch.cat(found).reshape(1, count * width, heads, size)[:, :length], None


def flex(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: BlockMask | None,
    **others: Any,
) -> tuple[Tensor, Tensor | None]:
    """FlexAttention under a `block_mask`.

    Under autocast rotary embeddings make queries and keys float32 again, and in torch 2.10
    FlexAttention takes one type only. For a row of fewer than 128 tokens it would take its kernel
    for decoding, which torch 2.11 does not have for float32 and grouped heads. Raises `ValueError`
    without a mask, as every token would see those behind it.
    """
    if attention_mask is None:
        raise ValueError("rows without a mask of ancestors")
    result: tuple[Tensor, Tensor | None] = flex_attention_forward(
        module,
        query.to(value.dtype),
        key.to(value.dtype),
        value,
        attention_mask,
        kernel_options={"BACKEND": "TRITON"},
        **others,
    )
    return result


def block_mask(ends: Tensor) -> BlockMask:
    """FlexAttention's mask of ancestors: token i sees token j iff `j <= i < ends[j]`."""

    def sees(batch: Tensor, head: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return (j <= i) & (i < ends[batch, j])

    rows, length = ends.shape
    return create_block_mask(sees, rows, None, length, length, device=ends.device.type)

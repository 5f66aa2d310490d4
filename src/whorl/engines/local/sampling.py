"""Choosing the next token of every row from that row alone: its scores, its settings, its key."""

import hashlib

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

_AT_ONCE = 1 << 19  # scores: what is made of so many stays in the processor's cache
_BLOCK = 128  # tokens
_COLD = 1e-6  # below this temperature scores may divide to infinity; it is greedy long before


def key(seed: int, sample: int) -> int:
    """What the `sample`-th sample of an ask with `seed` draws its numbers from: 64 bits."""
    name = f"{seed}/{sample}".encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little")


def uniform(keys: NDArray[np.uint64], positions: NDArray[np.int64]) -> NDArray[np.float64]:
    """Numbers in (0, 1], one for each (key, position): SplitMix64 read at a position, so a draw
    depends on nothing that was drawn before."""
    z = keys + (positions.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    drawn: NDArray[np.float64] = ((z >> np.uint64(11)) + np.uint64(1)).astype(np.float64)
    return drawn * 2.0**-53


def draw(
    scores: Tensor, uniforms: Tensor, temperature: Tensor, top_p: Tensor
) -> tuple[Tensor, Tensor]:
    """Token ids `[R]` and their log-probabilities `[R]` at temperature 1, in nats, for scores
    `[R, V]`, numbers in (0, 1] `[R]`, and settings `[R]`.

    Temperature 0 takes the highest score. Below 1, top_p keeps the fewest most probable tokens
    whose mass reaches it, after temperature. The token is where the cumulative mass reaches the
    uniform number's share of the whole.
    """
    rows = max(1, _AT_ONCE // scores.shape[1])
    given = (scores, uniforms, temperature, top_p)
    tokens: list[Tensor] = []
    told: list[Tensor] = []
    for part, *settings in zip(*(torch.split(each, rows) for each in given), strict=True):
        part = part.float()
        tokens.append(_choose(part, *settings))
        told.append(logprobs(part, tokens[-1]))
    return torch.cat(tokens), torch.cat(told)


def _choose(scores: Tensor, uniforms: Tensor, temperature: Tensor, top_p: Tensor) -> Tensor:
    greedy = temperature == 0.0
    if bool(greedy.all()):
        return scores.argmax(-1)
    divisor = torch.where(greedy, 1.0, temperature.clamp(min=_COLD))[:, None].to(scores.dtype)
    chance = (scores / divisor).softmax(-1)
    tokens = _reached(chance, uniforms)
    nucleus = (top_p < 1.0) & ~greedy
    if bool(nucleus.any()):
        tokens[nucleus] = _from_nucleus(chance[nucleus], uniforms[nucleus], top_p[nucleus])
    if bool(greedy.any()):
        tokens[greedy] = scores[greedy].argmax(-1)
    return tokens


def _reached(chance: Tensor, uniforms: Tensor) -> Tensor:
    """Where the cumulative sum of each row of `chance` reaches the number's share of its whole: by
    sums of blocks first, as a running sum of a large vocabulary costs more than all the rest."""
    blocks = F.pad(chance, (0, -chance.shape[1] % _BLOCK)).view(len(chance), -1, _BLOCK)
    mass = blocks.sum(-1).cumsum(-1, dtype=torch.double)
    target = uniforms[:, None] * mass[:, -1:]
    # of scores that are no numbers nothing reaches; their log-probability tells
    block = torch.searchsorted(mass, target).clamp(max=mass.shape[1] - 1)
    before = torch.where(block > 0, mass.gather(1, (block - 1).clamp(min=0)), 0.0)
    here = blocks[torch.arange(len(blocks)), block.squeeze(1)].cumsum(-1, dtype=torch.double)
    within = torch.minimum(target - before, here[:, -1:])  # two sums of a block round differently
    found = block * _BLOCK + torch.searchsorted(here, within)
    return found.squeeze(1).clamp(max=chance.shape[1] - 1)


def _from_nucleus(chance: Tensor, uniforms: Tensor, top_p: Tensor) -> Tensor:
    ranked, order = torch.sort(chance, dim=-1, descending=True, stable=True)
    mass = ranked.cumsum(-1, dtype=torch.double)
    kept = ((mass - ranked) < top_p[:, None]).sum(-1, keepdim=True)  # tokens, at least one
    target = uniforms[:, None] * mass.gather(1, kept - 1)
    found = torch.searchsorted(mass, target).clamp(max=mass.shape[1] - 1)
    return order.gather(1, found).squeeze(-1)


def logprobs(logits: Tensor, tokens: Tensor) -> Tensor:
    """Log-probabilities `[R]` of `tokens` at temperature 1, in nats."""
    return logits.log_softmax(-1).gather(1, tokens[:, None]).squeeze(-1)

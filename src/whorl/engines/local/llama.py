"""A Llama-family model: its weights, fused and packed for the CPU, and one forward pass.

Every row of a batch goes through the same arithmetic whatever its neighbours are: matmuls by
kernels whose rows do not depend on the number of rows, attention in blocks of fixed length over
cache slots numbered by token position (docs/log.md has what was tried and measured).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor

from whorl.engines.local.linear import Bend, Linear, linear
from whorl.engines.local.rows import Rows
from whorl.engines.local.sampling import logprobs
from whorl.engines.local.shape import read_shape
from whorl.engines.weights import weight_files
from whorl.errors import UserError

ARCHITECTURES = (
    "LlamaForCausalLM",
    "MistralForCausalLM",
    "Qwen2ForCausalLM",
    "Qwen3ForCausalLM",
    "GemmaForCausalLM",
)
_BENDS: Mapping[str, Bend] = {"silu": "swish", "gelu_pytorch_tanh": "gelu"}

_BLOCK = 192  # cache slots per attention block: MKL splits longer sums at a length-dependent point
_WASTE = 1 << 16  # numbers read in vain, about what attention in one more range of rows costs
# Below this MKL takes a matrix-vector kernel, which rounds differently: padded to it, decoding
# leaves the keys and values that reading would.
_MIN_QUERIES = 4
_SCORED = 256  # positions whose scores of the whole vocabulary are in memory at once


@dataclass(frozen=True, slots=True)
class Piece:
    """New tokens of neighbouring rows.

    ids: `[A, L]`; what follows a row's last one is padding.
    starts: positions of each row's first one `[A]`.
    last: where each row's last one is among its L `[A]`.
    first: the first of the rows.
    """

    ids: Tensor
    starts: Tensor
    last: Tensor
    first: int


@dataclass(frozen=True, slots=True)
class _Span:
    """Rows `begin` to `end`, with `length` new tokens each, that attend together.

    mask: what each may not see, as scores to add: `[rows, 1, length, 1, slots]`.
    """

    begin: int
    end: int
    length: int
    mask: Tensor

    @property
    def tokens(self) -> int:
        return (self.end - self.begin) * self.length


@dataclass(frozen=True, slots=True)
class _Laid:
    """A piece without its padding: N tokens `[N]`, their positions `[N]` and slots in the cache
    `[N * kv heads]`, the ranges of rows that attend together, and which of the A x L tokens are
    kept; None if there is no padding."""

    tokens: Tensor
    positions: Tensor
    slots: Tensor
    spans: tuple[_Span, ...]
    kept: Tensor | None


@dataclass(frozen=True, slots=True)
class _Layer:
    """head_norm: for queries and keys `[heads + kv heads, D]`, where the model norms those."""

    attention_norm: Tensor
    head_norm: Tensor | None
    qkv: Linear
    out: Linear
    mlp_norm: Tensor
    gate: Linear
    up: Linear
    down: Linear


def unsupported(config: Mapping[str, Any]) -> str | None:
    """Why a `config.json` is not one this module can run; None if it can."""
    architecture = next(iter(config.get("architectures") or ()), "no architecture")
    if architecture not in ARCHITECTURES:
        return f"{architecture} is not one of {', '.join(ARCHITECTURES)}"
    gemma = architecture == "GemmaForCausalLM"  # some of its files name another GELU than it has
    if not gemma and config.get("hidden_act", "silu") not in _BENDS:
        return f"its activation is {config['hidden_act']}, not one of {', '.join(_BENDS)}"
    sliding = config.get("use_sliding_window", architecture == "MistralForCausalLM")
    if sliding and config.get("sliding_window") is not None:
        return "it attends through a sliding window"
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if rope.get("rope_type", rope.get("type", "default")) in ("dynamic", "longrope"):
        return "its rotary angles depend on the length of the text"
    if "quantization_config" in config:
        return "its weights are quantised"
    return None


class Llama:
    """The model of a Hugging Face folder with safetensors weights, in `dtype`.

    vocabulary, limit: number of token ids; the longest text in tokens.
    layers, kv_heads, head_dim: the shape of its cache.
    """

    def __init__(self, folder: Path, *, dtype: torch.dtype = torch.float32) -> None:
        config = read_shape(folder)
        self.heads: int = config.num_attention_heads
        self.kv_heads: int = config.num_key_value_heads or self.heads
        self.head_dim: int = getattr(config, "head_dim", None) or config.hidden_size // self.heads
        self.layers: int = config.num_hidden_layers
        self.vocabulary: int = config.vocab_size
        self.limit: int = config.max_position_embeddings
        self.dtype = dtype
        self._eps: float = config.rms_norm_eps
        self._waste = _WASTE // (self.kv_heads * self.head_dim)
        self._inverse_frequencies, self._rotary_scale = _rotary(config, self.head_dim)
        self._cis = torch.empty(0, 1, self.head_dim // 2, dtype=torch.complex64)

        weights = {name: weight.to(dtype) for name, weight in read_weights(folder)}
        gemma = config.model_type == "gemma"
        if gemma:
            weights |= {name: w + 1 for name, w in weights.items() if name.endswith("norm.weight")}
        self._scale = config.hidden_size**0.5 if gemma else None  # of embeddings
        self._bend: Bend = "gelu" if gemma else _BENDS[config.hidden_act]
        self._embedding = weights["model.embed_tokens.weight"]
        self._stack = [self._layer(weights, i) for i in range(self.layers)]
        self._norm = weights["model.norm.weight"]
        tied = config.tie_word_embeddings or "lm_head.weight" not in weights
        self._head = linear(self._embedding if tied else weights["lm_head.weight"], None)

    def _layer(self, weights: dict[str, Tensor], index: int) -> _Layer:
        def take(name: str) -> Tensor:
            return weights.pop(f"model.layers.{index}.{name}")

        def bias(*names: str) -> list[Tensor] | None:
            full = [f"model.layers.{index}.{name}.bias" for name in names]
            return [weights.pop(name) for name in full] if full[0] in weights else None

        def plain(name: str) -> Linear:
            return linear(take(f"{name}.weight"), next(iter(bias(name) or ()), None))

        # Scores are scaled once, in the weights; rotary pairs are made neighbours, so that a
        # rotation is one complex product. Dot products do not see the order of their terms.
        names = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
        query, key, value = (take(f"{name}.weight") for name in names)
        sizes = [len(each) // self.head_dim for each in (query, key, value)]
        if sizes != [self.heads, self.kv_heads, self.kv_heads]:
            raise UserError(
                f"its weights have {sizes[0]} and {sizes[1]} heads where config.json says "
                f"{self.heads} and {self.kv_heads}: they do not belong together"
            )
        q_bias, k_bias, v_bias = bias(*names) or (None, None, None)
        scale, head_norm = self.head_dim**-0.5, None
        if f"model.layers.{index}.self_attn.q_norm.weight" in weights:
            # the norm undoes what scales its argument, so its own weight is scaled
            own = self._paired(take("self_attn.q_norm.weight")) * scale
            theirs = self._paired(take("self_attn.k_norm.weight"))
            counts = torch.tensor([self.heads, self.kv_heads])
            head_norm = torch.stack((own, theirs)).repeat_interleave(counts, dim=0)
            scale = 1.0
        fused = torch.cat((self._paired(query) * scale, self._paired(key), value))
        fused_bias = None
        if q_bias is not None and k_bias is not None and v_bias is not None:
            fused_bias = torch.cat((self._paired(q_bias) * scale, self._paired(k_bias), v_bias))
        return _Layer(
            attention_norm=take("input_layernorm.weight"),
            head_norm=head_norm,
            qkv=linear(fused, fused_bias),
            out=plain("self_attn.o_proj"),
            mlp_norm=take("post_attention_layernorm.weight"),
            gate=plain("mlp.gate_proj"),
            up=plain("mlp.up_proj"),
            down=plain("mlp.down_proj"),
        )

    def _paired(self, weight: Tensor) -> Tensor:
        """Rows i and i + D/2 of every head become neighbours."""
        heads = weight.view(-1, 2, self.head_dim // 2, *weight.shape[1:])
        return heads.transpose(1, 2).reshape(weight.shape)

    def forward(self, pieces: Sequence[Piece], rows: Rows) -> Tensor:
        """Scores `[rows of all pieces, vocabulary]` of the token after each row's last new one. The
        cache of the rows holds all earlier positions and is extended by the new."""
        hidden = self._hidden(pieces, rows)
        lengths = torch.cat([p.last for p in pieces]) + 1
        return self._scores(hidden[lengths.cumsum(0) - 1])

    def likelihoods(self, piece: Piece, rows: Rows) -> Iterator[Tensor]:
        """For each row of a piece that begins at position 0, the log-probabilities `[its tokens -
        1]` of its tokens after the first, at temperature 1, in nats."""
        hidden = self._hidden([piece], rows)
        lengths = (piece.last + 1).tolist()
        for ids, own in zip(piece.ids, torch.split(hidden[: sum(lengths)], lengths), strict=True):
            parts = zip(
                torch.split(own[:-1], _SCORED), torch.split(ids[1 : len(own)], _SCORED), strict=True
            )
            told = [logprobs(self._scores(states).float(), tokens) for states, tokens in parts]
            yield torch.cat(told) if told else ids.new_zeros(0, dtype=torch.float32)

    def _hidden(self, pieces: Sequence[Piece], rows: Rows) -> Tensor:
        """States `[>= tokens of all pieces, hidden]` after the last layer, padding left out."""
        end = max(int((p.starts + p.last).max()) for p in pieces) + 1
        rows.reserve(end, max(p.first + len(p.last) for p in pieces))
        laid = [self._lay(piece, rows) for piece in pieces]
        counts = [len(piece.tokens) for piece in laid]
        size = sum(counts)
        rest = _rounded(size) - size
        slots = torch.cat([piece.slots for piece in laid])
        rotation = self._rotations(end)[torch.cat([piece.positions for piece in laid])]
        filler = torch.zeros(rest, self.heads * self.head_dim, dtype=self.dtype)
        x = self._embedding[F.pad(torch.cat([piece.tokens for piece in laid]), (0, rest))]
        if self._scale is not None:
            x = x * self._scale
        for index, layer in enumerate(self._stack):
            normed = F.rms_norm(x, x.shape[-1:], layer.attention_norm, self._eps)
            queries, keys, values = self._project(
                layer.qkv(normed)[:size], layer.head_norm, rotation
            )
            rows.write(index, slots, keys, values)
            each = zip(torch.split(queries, counts), laid, strict=True)
            seen = [self._attend(q, rows, index, piece) for q, piece in each]
            x = layer.out(torch.cat([*seen, filler]), add=x)
            normed = F.rms_norm(x, x.shape[-1:], layer.mlp_norm, self._eps)
            x = layer.down(layer.up(normed, times=layer.gate(normed, bend=self._bend)), add=x)
        return x

    def _lay(self, piece: Piece, rows: Rows) -> _Laid:
        length = piece.ids.shape[1]
        columns = torch.arange(length)
        positions = piece.starts[:, None] + columns
        spans = tuple(self._spans(piece, positions, rows))
        slots = rows.slots(piece.first, positions)
        if int(piece.last.min()) == length - 1:  # as in decoding, which is most of the work
            return _Laid(piece.ids.view(-1), positions.view(-1), slots.view(-1), spans, None)
        kept = (columns <= piece.last[:, None]).view(-1).nonzero().squeeze(1)
        tokens, positions = piece.ids.view(-1)[kept], positions.view(-1)[kept]
        return _Laid(tokens, positions, slots[kept].view(-1), spans, kept)

    def _spans(self, piece: Piece, positions: Tensor, rows: Rows) -> Iterator[_Span]:
        """The rows of a piece, with tokens at `positions` `[A, L]`, in ranges that attend
        together."""
        length = positions.shape[1]
        ends = (piece.starts + piece.last + 1).tolist()
        for begin, end in _groups(ends, self._waste):
            slots = rows.span(max(ends[begin:end]))
            here = positions[begin:end, None, :, None, None]
            mask = torch.where(torch.arange(slots) <= here, 0.0, -torch.inf).to(self.dtype)
            yield _Span(piece.first + begin, piece.first + end, length, mask)

    def _scores(self, hidden: Tensor) -> Tensor:
        """Next-token scores `[A, vocabulary]` of hidden states `[A, hidden]`."""
        count = hidden.shape[0]
        hidden = F.pad(hidden, (0, 0, 0, _rounded(count) - count))
        normed = F.rms_norm(hidden, hidden.shape[-1:], self._norm, self._eps)
        return self._head(normed)[:count]

    def _project(
        self, fused: Tensor, head_norm: Tensor | None, rotation: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries and keys, and values, each `[A * L, its heads, D]`."""
        fused = fused.view(fused.shape[0], -1, self.head_dim)
        both, values = torch.split(fused, [self.heads + self.kv_heads, self.kv_heads], dim=1)
        if head_norm is not None:
            both = F.rms_norm(both, both.shape[-1:], None, self._eps) * head_norm
        pairs = torch.view_as_complex(both.float().reshape(*both.shape[:2], -1, 2))
        rotated = torch.view_as_real(pairs * rotation).flatten(-2).to(fused.dtype)
        queries, keys = torch.split(rotated, [self.heads, self.kv_heads], dim=1)
        return queries, keys, values

    def _attend(self, queries: Tensor, rows: Rows, layer: int, piece: _Laid) -> Tensor:
        """Attention `[N, heads * D]` of a piece's queries `[N, heads, D]`; only here it is padded,
        so that rows of different lengths attend together."""
        if piece.kept is not None:
            padded = queries.new_zeros(sum(s.tokens for s in piece.spans), *queries.shape[1:])
            padded[piece.kept] = queries
            queries = padded
        each = torch.split(queries, [span.tokens for span in piece.spans])
        seen = torch.cat(
            [self._look(q, rows, layer, span) for q, span in zip(each, piece.spans, strict=True)]
        )
        return seen if piece.kept is None else seen[piece.kept]

    def _look(self, queries: Tensor, rows: Rows, layer: int, span: _Span) -> Tensor:
        """Attention `[a * L, heads * D]` of queries `[a * L, heads, D]` over the cached keys and
        values of a span; the query heads of a group share a key head."""
        keys, values = rows.read(layer, span.begin, span.end, slots := span.mask.shape[-1])
        length, kv, size = span.length, self.kv_heads, self.head_dim
        queries = queries.view(-1, length, kv, self.heads // kv, size)
        count, group = queries.shape[0], queries.shape[3]
        queries = F.pad(queries, (0, 0, 0, max(0, -(-_MIN_QUERIES // length) - group)))
        scores = torch.bmm(
            queries.transpose(1, 2).reshape(count * kv, -1, size), keys.transpose(1, 2)
        )
        scores.view(count, kv, length, -1, slots).add_(span.mask)
        weights = scores.softmax(-1)
        seen = torch.bmm(weights[..., :_BLOCK], values[:, :_BLOCK])
        for start in range(_BLOCK, slots, _BLOCK):
            block = slice(start, start + _BLOCK)
            seen = torch.baddbmm(seen, weights[..., block], values[:, block])
        seen = seen.view(count, kv, length, -1, size)[..., :group, :]
        return seen.transpose(1, 2).reshape(count * length, -1)

    def _rotations(self, end: int) -> Tensor:
        """Unit complex numbers `[>= end, 1, D / 2]` that rotate a position's pairs."""
        if self._cis.shape[0] < end:
            angles = torch.outer(torch.arange(end + 256.0), self._inverse_frequencies)
            self._cis = torch.polar(torch.full_like(angles, self._rotary_scale), angles)[:, None]
        return self._cis


def _groups(ends: Sequence[int], waste: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows that attend together, over as many slots as the longest of a range needs, of
    which at most `waste` are in vain."""
    begin = total = longest = 0
    for row, end in enumerate(ends):
        longest = max(longest, end)
        if longest * (row + 1 - begin) - total - end > waste:
            yield begin, row
            begin, total, longest = row, 0, end
        total += end
    yield begin, len(ends)


def _rounded(rows: int) -> int:
    """Rows of a product, at least `rows`: few sizes, for each new one costs its first product a
    kernel to be generated, about as much as the product of a hundred rows."""
    step = 8 if rows <= 64 else 32
    return -(-rows // step) * step


def _rotary(config: Any, head_dim: int) -> tuple[Tensor, float]:
    """Inverse frequencies `[D / 2]` and the factor on cosine and sine."""
    rope = config.rope_parameters
    if rope["rope_type"] == "default":
        exponents = torch.arange(0, head_dim, 2, dtype=torch.float) / head_dim
        return 1.0 / (rope["rope_theta"] ** exponents), 1.0
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    frequencies, factor = ROPE_INIT_FUNCTIONS[rope["rope_type"]](config)
    return frequencies, factor


def read_weights(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """All weights of a folder, by name."""
    for path in weight_files(folder):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118  (not a mapping)
                yield name, file.get_tensor(name)

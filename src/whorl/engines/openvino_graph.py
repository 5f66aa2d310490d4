"""A model folder as an OpenVINO graph: the layers of a decoder, one description for all shapes."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as op
from openvino.op.util import Variable, VariableInfo

Node = Any
"""An output of an operation; OpenVINO gives its operations no types."""

Weights = Callable[[str], Node]
"""A matrix or a vector of the folder as a node that gives it in float32, by its name."""

ARCHITECTURES = (
    "LlamaForCausalLM",
    "MistralForCausalLM",
    "Qwen2ForCausalLM",
    "Qwen3ForCausalLM",
    "GemmaForCausalLM",
)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a `config.json` says of a decoder. gemma: scaled embeddings, norms of `1 + weight`."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    size: int
    eps: float
    theta: float
    gemma: bool
    tied: bool

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> "Shape":
        heads = config["num_attention_heads"]
        rope = config.get("rope_parameters") or config
        gemma = config["architectures"][0].startswith("Gemma")
        return cls(
            layers=config["num_hidden_layers"],
            hidden=config["hidden_size"],
            heads=heads,
            kv_heads=config.get("num_key_value_heads") or heads,
            size=config.get("head_dim") or config["hidden_size"] // heads,
            eps=config["rms_norm_eps"],
            theta=rope.get("rope_theta", 10000.0),
            gemma=gemma,
            tied=config.get("tie_word_embeddings", gemma),
        )


def unsupported(config: Mapping[str, Any]) -> str | None:
    """Why the model of a `config.json` cannot be written as a graph; None if it can."""
    architecture = next(iter(config.get("architectures") or ()), "no architecture")
    if architecture not in ARCHITECTURES:
        return f"{architecture} is not one of {', '.join(ARCHITECTURES)}"
    gemma = architecture == "GemmaForCausalLM"  # some of its files name another GELU than it has
    if not gemma and config.get("hidden_act", "silu") != "silu":
        return f"its activation is {config['hidden_act']}, not silu"
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if rope.get("rope_type", rope.get("type", "default")) != "default":
        return "its rotary frequencies are scaled"
    sliding = config.get("use_sliding_window", architecture == "MistralForCausalLM")
    if sliding and config.get("sliding_window") is not None:
        return "it attends through a sliding window"
    if "quantization_config" in config:
        return "its weights are quantised"
    return None


def graph(shape: Shape, weights: Weights, known: Callable[[str], bool]) -> openvino.Model:
    """The decoder as a stateful graph: token ids in, scores of the next token out. known: whether
    the folder has a weight of that name."""
    return _Graph(shape, weights, known).model()


class _Graph:
    def __init__(self, shape: Shape, weights: Weights, known: Callable[[str], bool]) -> None:
        self._shape, self._weights, self._known = shape, weights, known
        self._ids = _parameter("input_ids", [-1, -1], np.int64)
        self._mask = _parameter("attention_mask", [-1, -1], np.int64)
        self._positions = _parameter("position_ids", [-1, -1], np.int64)
        self._beam = _parameter("beam_idx", [-1], np.int32)
        self._sinks: list[Node] = []

    def model(self) -> openvino.Model:
        shape = self._shape
        embedding = self._weights("model.embed_tokens.weight")
        hidden = op.gather(embedding, op.convert(self._ids, np.int32), _ints(0))
        if shape.gemma:
            hidden = op.multiply(hidden, _floats(math.sqrt(shape.hidden)))
        rotation, hides = self._rotation(), self._hidden_slots()
        for layer in range(shape.layers):
            name = f"model.layers.{layer}"
            normed = self._norm(hidden, f"{name}.input_layernorm")
            hidden = op.add(hidden, self._attention(normed, layer, rotation, hides))
            normed = self._norm(hidden, f"{name}.post_attention_layernorm")
            hidden = op.add(hidden, self._mlp(normed, f"{name}.mlp"))
        hidden = self._norm(hidden, "model.norm")
        tied = shape.tied or not self._known("lm_head.weight")
        head = embedding if tied else self._weights("lm_head.weight")
        scores = op.matmul(hidden, head, False, True)
        scores.output(0).get_tensor().set_names({"logits"})
        inputs = [self._ids, self._mask, self._positions, self._beam]
        return openvino.Model([op.result(scores)], self._sinks, inputs, "decoder")

    def _linear(self, x: Node, name: str) -> Node:
        y = op.matmul(x, self._weights(f"{name}.weight"), False, True)
        return op.add(y, self._weights(f"{name}.bias")) if self._known(f"{name}.bias") else y

    def _norm(self, x: Node, name: str) -> Node:
        """Root mean square norm over the last axis."""
        weight = self._weights(f"{name}.weight")
        if self._shape.gemma:
            weight = op.add(weight, _floats(1.0))
        square = op.reduce_mean(op.power(x, _floats(2.0)), _ints(-1), True)
        scale = op.divide(_floats(1.0), op.sqrt(op.add(square, _floats(self._shape.eps))))
        return op.multiply(weight, op.multiply(x, scale))

    def _mlp(self, x: Node, name: str) -> Node:
        gate = self._linear(x, f"{name}.gate_proj")
        bent = op.gelu(gate, "tanh") if self._shape.gemma else op.swish(gate)
        return self._linear(
            op.multiply(bent, self._linear(x, f"{name}.up_proj")), f"{name}.down_proj"
        )

    def _attention(self, x: Node, layer: int, rotation: tuple[Node, Node], hides: Node) -> Node:
        shape, name = self._shape, f"model.layers.{layer}.self_attn"
        queries = self._rotated(self._heads(x, name, "q", shape.heads), rotation)
        keys = self._rotated(self._heads(x, name, "k", shape.kv_heads), rotation)
        values = self._heads(x, name, "v", shape.kv_heads)
        keys = self._repeated(self._remembered(keys, f"{layer}.key"))
        values = self._repeated(self._remembered(values, f"{layer}.value"))
        scale = _floats(1 / math.sqrt(shape.size))
        seen = op.scaled_dot_product_attention(queries, keys, values, hides, scale)
        merged = op.reshape(
            op.transpose(seen, _ints(0, 2, 1, 3)), _ints(0, 0, shape.heads * shape.size), True
        )
        return self._linear(merged, f"{name}.o_proj")

    def _heads(self, x: Node, name: str, kind: str, heads: int) -> Node:
        """A projection `[B, heads, L, size]`; queries and keys normed where the model does that."""
        y = op.reshape(
            self._linear(x, f"{name}.{kind}_proj"), _ints(0, 0, heads, self._shape.size), True
        )
        if self._known(f"{name}.{kind}_norm.weight"):
            y = self._norm(y, f"{name}.{kind}_norm")
        return op.transpose(y, _ints(0, 2, 1, 3))

    def _rotation(self) -> tuple[Node, Node]:
        """Cosine and sine `[B, 1, L, size]` of each position."""
        size = self._shape.size
        frequencies = 1.0 / self._shape.theta ** (np.arange(0, size, 2, dtype=np.float64) / size)
        where = op.convert(op.unsqueeze(self._positions, _ints(2)), np.float32)
        angles = op.multiply(where, op.constant(frequencies.astype(np.float32)[None, None]))
        both = op.unsqueeze(op.concat([angles, angles], -1), _ints(1))
        return op.cos(both), op.sin(both)

    def _rotated(self, x: Node, rotation: tuple[Node, Node]) -> Node:
        half = self._shape.size // 2
        first, second = op.variadic_split(x, _ints(-1), _ints(half, half)).outputs()
        turned = op.concat([op.multiply(second, _floats(-1.0)), first], -1)
        cosine, sine = rotation
        return op.add(op.multiply(x, cosine), op.multiply(turned, sine))

    def _remembered(self, new: Node, name: str) -> Node:
        """What the state of that name held, and behind it what is new."""
        shape = self._shape
        info = VariableInfo()
        info.data_shape = openvino.PartialShape([-1, shape.kv_heads, -1, shape.size])
        info.data_type = openvino.Type.f32
        info.variable_id = f"past_key_values.{name}present.{name}"
        variable = Variable(info)
        batch = op.gather(op.shape_of(self._ids), _ints(0), _ints(0))
        empty = op.concat([batch, _ints(shape.kv_heads, 0, shape.size)], 0)
        held = op.read_value(op.broadcast(_floats(0.0), empty), variable)
        both = op.concat([op.gather(held, self._beam, _ints(0)), new], 2)
        self._sinks.append(op.assign(both, variable))
        return both

    def _repeated(self, x: Node) -> Node:
        """Each key or value head as often as query heads share it."""
        shape = self._shape
        group = shape.heads // shape.kv_heads
        if group == 1:
            return x
        wide = op.broadcast(
            op.unsqueeze(x, _ints(2)), _ints(1, 1, group, 1, 1), broadcast_spec="bidirectional"
        )
        return op.reshape(wide, _ints(0, shape.heads, -1, shape.size), True)

    def _hidden_slots(self) -> Node:
        """What each token may not see, as scores to add: `[B, 1, L, slots]`."""
        slots = op.gather(op.shape_of(self._mask), _ints(1), _ints(0))
        numbers = op.range(
            op.constant(np.int64(0)), op.squeeze(slots, _ints(0)), op.constant(np.int64(1)), "i64"
        )
        here = op.unsqueeze(self._positions, _ints(1, 3))
        late = op.greater(op.unsqueeze(numbers, _ints(0, 1, 2)), here)
        return op.select(late, _floats(-65504.0), _floats(0.0))


def _parameter(name: str, shape: list[int], kind: Any) -> Node:
    made = op.parameter(shape, kind)
    made.set_friendly_name(name)  # OpenVINO looks for it when it makes pages of the states
    made.output(0).get_tensor().set_names({name})
    return made


def _ints(*values: int) -> Node:
    return op.constant(np.array(values, dtype=np.int64))


def _floats(value: float) -> Node:
    return op.constant(np.float32(value))

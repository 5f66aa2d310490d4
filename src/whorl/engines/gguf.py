"""A model folder as a GGUF file, the form that llama.cpp reads models in."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import gguf
import numpy as np
from numpy.typing import NDArray

from whorl.chat import Chat
from whorl.engines.local.llama import read_weights

_ARCHITECTURES = {"LlamaForCausalLM": "llama", "Qwen2ForCausalLM": "qwen2"}
_FILES = {
    "float32": gguf.LlamaFileType.ALL_F32,
    "float16": gguf.LlamaFileType.MOSTLY_F16,
    "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
}
_NAMES = {
    "embed_tokens": "token_embd",
    "norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def unsupported(config: Mapping[str, Any]) -> str | None:
    """Why the model of a `config.json` cannot be written; None if it can."""
    architecture = next(iter(config.get("architectures") or ()), "no architecture")
    if architecture not in _ARCHITECTURES:
        return f"{architecture} is not one of {', '.join(_ARCHITECTURES)}"
    if config.get("attention_bias") or config.get("mlp_bias"):
        return "its projections have biases"
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if rope.get("rope_type", rope.get("type", "default")) != "default":
        return "its rotary frequencies are scaled"
    if config.get("use_sliding_window"):
        return "it attends through a sliding window"
    if "quantization_config" in config:
        return "its weights are quantised"
    return None


def write_gguf(folder: Path, file: Path, *, dtype: Literal["float16", "float32", "q8_0"]) -> None:
    """Write the model in `folder`, of which nothing is `unsupported`, with its matrices in `dtype`,
    `q8_0` being eight bits and a scale for 32 numbers.

    The vocabulary is there to write text: words are split in ways that the format has no names for,
    so a prompt is sure to be the same only as token ids.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    architecture = _ARCHITECTURES[config["architectures"][0]]
    writer = gguf.GGUFWriter(file, architecture)
    _describe(writer, config, _FILES[dtype])
    _write_vocabulary(writer, Chat.load(folder), config)
    heads = {
        "attn_q": config["num_attention_heads"],
        "attn_k": config.get("num_key_value_heads") or config["num_attention_heads"],
    }
    for theirs, weight in read_weights(folder):
        name, weights = _named(theirs), weight.float().numpy()
        kind = name.split(".")[-2]
        if architecture == "llama" and kind in heads:
            weights = _paired(weights, heads[kind])
        if weights.ndim == 1:
            writer.add_tensor(name, weights)
        elif dtype == "q8_0":
            kept = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quantize(weights, kept), raw_dtype=kept)
        else:
            writer.add_tensor(name, weights.astype(dtype))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: gguf.GGUFWriter, config: Mapping[str, Any], kind: int) -> None:
    """The architecture's numbers."""
    heads = config["num_attention_heads"]
    size = config.get("head_dim") or config["hidden_size"] // heads
    rope = config.get("rope_parameters") or config
    writer.add_file_type(kind)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_rope_dimension_count(size)
    writer.add_rope_freq_base(rope.get("rope_theta", 10000.0))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])


def _write_vocabulary(writer: gguf.GGUFWriter, chat: Chat, config: Mapping[str, Any]) -> None:
    """As GPT-2's byte-level BPE."""
    said = json.loads(chat.tokenizer.backend_tokenizer.to_str())
    known = {number: token for token, number in chat.tokenizer.get_vocab().items()}
    special = {token["id"] for token in said["added_tokens"]}
    count = config["vocab_size"]
    kinds = gguf.TokenType
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([known.get(i, f"<unused {i}>") for i in range(count)])
    writer.add_token_types([kinds.CONTROL if i in special else kinds.NORMAL for i in range(count)])
    merges = said["model"].get("merges", ())
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    writer.add_eos_token_id(chat.end[-1])
    writer.add_add_bos_token(False)


def _named(theirs: str) -> str:
    """A tensor's name in GGUF."""
    stem, _, kind = theirs.removeprefix("model.").rpartition(".")
    if not stem.startswith("layers."):
        return f"{_NAMES[stem]}.{kind}"
    _, layer, part = stem.split(".", 2)
    return f"blk.{layer}.{_NAMES[part]}.{kind}"


def _paired(weights: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rows of a head's two halves in turn: GGUF's Llama rotates neighbours, transformers halves."""
    halves = weights.reshape(heads, 2, -1, *weights.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weights.shape))

"""Writes a small Llama's folder as a GGUF file, for a real llama-server.

    .venv-llama/bin/python tests/engines/server/write_gguf.py FOLDER FILE

A program of its own, in the environment of `scripts/llama-env`, which has the `gguf` package.
Weights are written as float32, so that the server computes what the embedded engine computes. Our
tokenizer splits text into words in a way that llama.cpp has no name for, so a prompt is sure to be
the same only as token ids; the vocabulary serves to write text.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np

NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
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


def write(folder: Path, file: Path) -> None:
    """Write the model in `folder` to `file`."""
    config = json.loads((folder / "config.json").read_text())
    writer = gguf.GGUFWriter(file, "llama")
    describe(writer, config)
    write_tokenizer(writer, folder, config)
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    for theirs, weights in read_weights(folder / "model.safetensors"):
        name = named(theirs)
        kind = name.split(".")[-2]
        writer.add_tensor(name, permuted(weights, heads[kind]) if kind in heads else weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def describe(writer: gguf.GGUFWriter, config: dict[str, Any]) -> None:
    """The architecture's numbers."""
    writer.add_name("policy")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])


def write_tokenizer(writer: gguf.GGUFWriter, folder: Path, config: dict[str, Any]) -> None:
    """Byte-level BPE as GPT-2's; the chat template without the marks that training needs."""
    said = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = sorted(said["model"]["vocab"].items(), key=lambda item: item[1])
    special = {token["content"] for token in said["added_tokens"]}
    kinds = (gguf.TokenType.NORMAL, gguf.TokenType.CONTROL)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([token for token, _ in vocabulary])
    writer.add_token_types([kinds[token in special] for token, _ in vocabulary])
    writer.add_token_merges([" ".join(pair) for pair in said["model"]["merges"]])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])
    writer.add_add_bos_token(False)
    template = (folder / "chat_template.jinja").read_text()
    writer.add_chat_template(re.sub(r"\{%-?\s*(?:end)?generation\s*-?%\}", "", template))


def read_weights(path: Path) -> list[tuple[str, np.ndarray]]:
    """The tensors of a safetensors file in bfloat16, as float32."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    head = json.loads(data[8:start])
    head.pop("__metadata__", None)
    found = []
    for name, tensor in head.items():
        assert tensor["dtype"] == "BF16", f"{name} is {tensor['dtype']}"
        begin, end = tensor["data_offsets"]
        halves = np.frombuffer(data[start + begin : start + end], "<u2")
        found.append((name, (halves.astype("<u4") << 16).view("<f4").reshape(tensor["shape"])))
    return found


def named(theirs: str) -> str:
    """A tensor's name in llama.cpp."""
    layer = re.fullmatch(r"model\.layers\.(\d+)\.(.+)\.weight", theirs)
    if layer:
        return f"blk.{layer[1]}.{NAMES[layer[2]]}.weight"
    return f"{NAMES[theirs.removesuffix('.weight')]}.weight"


def permuted(weights: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a head's two halves in turn: llama.cpp rotates neighbours, transformers halves."""
    halves = weights.reshape(heads, 2, -1, weights.shape[-1])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weights.shape))


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))

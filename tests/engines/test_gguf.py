"""Model folders as GGUF files, read back with the package's own reader."""

import json
from pathlib import Path

import gguf
import numpy as np
import pytest
from safetensors.numpy import load_file

from whorl.engines.gguf import unsupported, write_gguf
from whorl.engines.unpack import quantised


def test_a_file_holds_the_folders_weights(llama, tmp_path: Path) -> None:
    folder = llama()
    write_gguf(folder, tmp_path / "a.gguf", dtype="float32")
    reader = gguf.GGUFReader(tmp_path / "a.gguf")
    held = {tensor.name: np.array(tensor.data) for tensor in reader.tensors}
    given = load_file(folder / "model.safetensors")
    assert len(held) == len(given)
    assert np.array_equal(held["token_embd.weight"], given["model.embed_tokens.weight"])
    down = "model.layers.1.mlp.down_proj.weight"
    assert np.array_equal(held["blk.1.ffn_down.weight"], given[down])

    # two neighbours there are the same pair that stands half a head apart here
    keys = held["blk.0.attn_k.weight"].reshape(2, 8, 2, 64)
    theirs = given["model.layers.0.self_attn.k_proj.weight"].reshape(2, 2, 8, 64)
    assert np.array_equal(keys, theirs.swapaxes(1, 2))
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    assert len(tokens) == len(given["model.embed_tokens.weight"])


def test_half_precision_is_for_matrices(llama, tmp_path: Path) -> None:
    write_gguf(llama(), tmp_path / "a.gguf", dtype="float16")
    kinds = {t.name: t.data.dtype for t in gguf.GGUFReader(tmp_path / "a.gguf").tensors}
    assert kinds["output_norm.weight"] == np.float32
    assert kinds["blk.0.ffn_up.weight"] == np.float16


def test_eight_bits_are_for_matrices(llama, tmp_path: Path) -> None:
    folder, file = llama(intermediate_size=96), tmp_path / "a.gguf"
    write_gguf(folder, file, dtype="q8_0")
    held = {tensor.name: tensor for tensor in gguf.GGUFReader(file).tensors}
    assert held["output_norm.weight"].data.dtype == np.float32
    up = held["blk.0.ffn_up.weight"]
    given = load_file(folder / "model.safetensors")["model.layers.0.mlp.up_proj.weight"]
    assert (
        np.abs(gguf.dequantize(up.data, up.tensor_type) - given).max() < np.abs(given).max() / 120
    )
    assert quantised(file) == "Q8_0"
    write_gguf(folder, file, dtype="float16")
    assert not quantised(file)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architectures": ["GPT2LMHeadModel"]}, "GPT2LMHeadModel is not one of"),
        ({"mlp_bias": True}, "biases"),
        ({"rope_parameters": {"rope_type": "llama3"}}, "scaled"),
        ({"quantization_config": {}}, "quantised"),
    ],
)
def test_what_cannot_be_written(llama, changes: dict[str, object], words: str) -> None:
    config = json.loads((llama() / "config.json").read_text())
    assert unsupported(config) is None
    assert words in str(unsupported(config | changes))

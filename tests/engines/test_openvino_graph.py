"""Graphs for OpenVINO against transformers' models, and weights in fewer bits."""

from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from transformers import AutoConfig, AutoModelForCausalLM

from whorl.engines import openvino_weights
from whorl.engines.openvino_graph import unsupported
from whorl.engines.openvino_weights import Kind, converted, packed_int4, packed_int8
from whorl.engines.weights import weights_digest

SHAPES: dict[str, dict[str, Any]] = {
    "llama": {"model_type": "llama"},
    "llama, biases": {"model_type": "llama", "attention_bias": True, "mlp_bias": True},
    "llama, tied": {"model_type": "llama", "tie_word_embeddings": True},
    "mistral": {"model_type": "mistral", "sliding_window": None, "head_dim": 32},
    "qwen2": {"model_type": "qwen2"},
    "qwen2, tied": {"model_type": "qwen2", "tie_word_embeddings": True},
    "qwen3": {"model_type": "qwen3", "head_dim": 32, "rope_theta": 1e6},
    "qwen3, one key head": {"model_type": "qwen3", "head_dim": 16, "num_key_value_heads": 1},
    "gemma": {"model_type": "gemma", "head_dim": 32, "num_key_value_heads": 1},
}
IDS = torch.tensor([[3, 17, 5, 80, 41, 9, 2, 66, 30]])


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def made(folder: Path, shape: str) -> Any:
    """A random model of that shape, saved in float32. Norms and biases are not all alike."""
    settings = SHAPES[shape]
    config = AutoConfig.for_model(
        **{
            "vocab_size": 96,
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 128,
            "initializer_range": 0.2,
            "tie_word_embeddings": False,
            **settings,
        }
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).half().float().eval()
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.data.add_(torch.rand_like(parameter).half())
    model.save_pretrained(folder)
    return model


def scores(folder: Path, kind: Kind, pieces: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Scores of the graph in the cache for `IDS`, given in pieces of such lengths."""
    place = converted(folder, kind)
    settings = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}
    request = (
        openvino.Core()
        .compile_model(place / "openvino_model.xml", "CPU", settings)
        .create_infer_request()
    )
    found, begin = [], 0
    for length in pieces:
        end = begin + length
        request.infer(
            {
                "input_ids": IDS[:, begin:end].numpy(),
                "attention_mask": np.ones((1, end), dtype=np.int64),
                "position_ids": np.arange(begin, end)[None],
                "beam_idx": np.zeros(1, dtype=np.int32),
            }
        )
        found.append(request.get_tensor("logits").data.copy())
        begin = end
    return np.concatenate(found, axis=1)


@pytest.mark.parametrize("shape", SHAPES)
def test_scores_are_those_of_transformers(tmp_path: Path, shape: str) -> None:
    model = made(tmp_path / "model", shape)
    with torch.inference_mode():
        theirs = model(IDS).logits.numpy()
    for pieces in ((9,), (4, 1, 1, 3)):
        assert np.allclose(scores(tmp_path / "model", "f16", pieces), theirs, atol=1e-2)


def test_fewer_bits_cost_accuracy_in_their_order(tmp_path: Path) -> None:
    model = made(tmp_path / "model", "qwen3")
    with torch.inference_mode():
        theirs = model(IDS).logits.numpy()
    far = {
        kind: np.abs(scores(tmp_path / "model", kind, (9,)) - theirs).mean() / np.abs(theirs).mean()
        for kind in openvino_weights.KINDS
    }
    assert far["f16"] < 1e-3 < far["int8"] < 0.05 < far["int4"] < 0.5


def test_a_conversion_is_made_once_and_named_by_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path / "model", "llama")
    first = converted(tmp_path / "model", "int8")
    monkeypatch.setattr(openvino_weights, "_model", lambda *_: pytest.fail("converted again"))
    moved = (tmp_path / "model").rename(tmp_path / "elsewhere")
    assert converted(moved, "int8") == first
    made(moved, "llama, tied")
    assert not first.name.startswith(weights_digest(moved))


@given(arrays(np.float32, (3, 64), elements=st.floats(-8, 8, width=32)))
def test_rounded_weights_are_half_a_step_away_at_most(block: np.ndarray[Any, Any]) -> None:
    numbers, scales = packed_int8(block)
    assert np.all(np.abs(numbers * scales - block) <= scales * 0.5001 + 1e-30)
    numbers, scales, zeros = packed_int4(block, 32)
    again = ((numbers.astype(np.float32) - zeros) * scales).reshape(3, 64)
    # the number for nought is rounded too, which may move the ends by half a step
    assert np.all(np.abs(again - block).reshape(3, 2, 32) <= scales * 1.0001 + 1e-30)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architectures": ["GPT2LMHeadModel"]}, "GPT2LMHeadModel is not one of"),
        ({"rope_parameters": {"rope_type": "llama3"}}, "scaled"),
        ({"architectures": ["MistralForCausalLM"], "sliding_window": 4096}, "sliding window"),
        ({"quantization_config": {}}, "quantised"),
    ],
)
def test_what_cannot_be_written(changes: dict[str, Any], words: str) -> None:
    config = {"architectures": ["LlamaForCausalLM"]}
    assert unsupported(config) is None
    assert words in str(unsupported(config | changes))

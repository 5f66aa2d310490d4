from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3Config,
    GPT2Config,
    GptOssConfig,
    LlamaConfig,
    MistralConfig,
    PretrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from whorl.example import Likelihood
from whorl.learn.batches import Steps
from whorl.learn.corpus import Encoded, TokenPath
from whorl.learn.network import context, load_model, logits, packing, read_config, vocabulary
from whorl.learn.training import Training

TINY = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
}
PACKABLE = {
    "llama": LlamaConfig(**TINY),
    "qwen2": Qwen2Config(**TINY),
    "qwen3": Qwen3Config(**TINY),
    "mistral": MistralConfig(**TINY, sliding_window=64),
    "gpt2": GPT2Config(vocab_size=50, n_embd=32, n_layer=2, n_head=4),
}
SEEING = {"num_hidden_layers": 1, "hidden_size": 32, "intermediate_size": 48, "image_size": 28}
NESTED = Gemma3Config(
    text_config=TINY | {"sliding_window": 64, "max_position_embeddings": 90},
    vision_config=SEEING | {"num_attention_heads": 2, "patch_size": 14},
    mm_tokens_per_image=4,
)
"""A model of text and images: what is said of text lies in a configuration of its own."""

OTHERS = {
    "a window": MistralConfig(**TINY, sliding_window=4),
    "sinks": GptOssConfig(**TINY, num_local_experts=2, num_experts_per_tok=1),
    "capped scores": Gemma2Config(**TINY),
}
LONG = 20


def saved(config: PretrainedConfig, folder: Path) -> Path:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    for parameter in model.parameters():  # or every token would be as likely as any other
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    return folder


def example(number: int) -> Encoded:
    ids = torch.arange(LONG, dtype=torch.int32)
    ids[-3:] = number + 1
    return Encoded((TokenPath(ids.numpy(), 1),), 1.0, number)


def differs(folder: Path) -> tuple[float, str, str]:
    """Logits of three sequences as training computes them, against transformers' own."""
    network = load_model(folder)
    form, reason = packing(network, Training(), LONG)
    step = [example(number) for number in range(3)]
    (batch,) = Steps([step], Likelihood(), form)[0]
    network.train(False)
    with torch.no_grad():
        found = logits(network, batch).flatten(0, 1)[batch["at"]][batch["members"]]
        plain = AutoModelForCausalLM.from_pretrained(folder).train(False)
        ids = torch.stack([torch.from_numpy(e.paths[0].ids).long() for e in step])
        right = plain(input_ids=ids).logits[:, :-1].flatten(0, 1)
    return float((found - right).abs().max()), form.form, reason


@pytest.mark.parametrize("name", PACKABLE)
def test_these_are_packed(name: str, tmp_path: Path) -> None:
    off, form, reason = differs(saved(PACKABLE[name], tmp_path))
    assert (form, reason) == ("gathered", "")
    assert off < 1e-4


@pytest.mark.parametrize("name", OTHERS)
def test_what_cannot_be_packed_is_padded_and_computes_its_own_attention(
    name: str, tmp_path: Path
) -> None:
    off, form, reason = differs(saved(OTHERS[name], tmp_path))
    assert (form, off < 1e-4) == ("padded", True)
    assert "attend" in reason or "attention" in reason


def test_a_model_of_images_too_is_read_as_what_it_says_of_text(tmp_path: Path) -> None:
    folder = saved(NESTED, tmp_path)
    assert vocabulary(read_config(folder)) == TINY["vocab_size"]
    assert context(folder, Training()) == 90
    off, form, reason = differs(folder)
    assert off < 1e-4, (form, reason)


@pytest.mark.parametrize("first", ["llama", "a window"])
def test_two_models_that_read_the_same_rows_attend_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """On a GPU the kernel for trees sees all there is where it is given no mask."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    models = {
        name: load_model(saved(config, tmp_path / name))
        for name, config in (PACKABLE | OTHERS).items()
        if name in ("llama", "a window")
    }
    own = [model.config._attn_implementation for model in models.values()]
    (other,) = models.keys() - {first}
    form, reason = packing(models[first], Training(), LONG, models[other])
    assert form.form == "padded" and "last 4 tokens" in reason
    assert [model.config._attn_implementation for model in models.values()] == own


def test_on_a_gpu_attention_with_dropout_is_not_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = load_model(saved(PACKABLE["gpt2"], tmp_path))
    assert packing(network, Training(), LONG)[0].form == "gathered"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    form, reason = packing(network, Training(), LONG)
    assert form.form == "padded" and "drops out in attention" in reason


def test_packing_can_be_switched_off(tmp_path: Path) -> None:
    network = load_model(saved(PACKABLE["llama"], tmp_path))
    form, reason = packing(network, Training(packed=False), LONG)
    assert (form.form, reason) == ("padded", "")

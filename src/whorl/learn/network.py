"""The model in training: loading it, and running it over packed rows."""

import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from whorl.errors import UserError, reason
from whorl.example import Likelihood
from whorl.learn import attention, losses
from whorl.learn.attention import FLEX, GATHERED, register
from whorl.learn.corpus import Encoded, TokenPath
from whorl.learn.layout import Batch, Share, lay_out, to_device
from whorl.learn.pack import Packing
from whorl.learn.training import Lora, Training

_DROPOUT = ("attention_dropout", "attn_pdrop", "attention_probs_dropout_prob")
"""What architectures call the rate of dropout in attention."""

TOLERANCE = 1e-4
"""Largest difference of log-probabilities in float32 that rounding explains, in nats."""


def read_config(model: Path) -> PretrainedConfig:
    """The configuration of a model folder. Raises `UserError` if it cannot be read."""
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(
            model, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{model}/config.json cannot be read: {reason(error)}") from error
    return config


def vocabulary(config: PretrainedConfig) -> int:
    """Number of tokens that a model knows. What models of text and images say of text lies in a
    configuration of its own."""
    return int(config.get_text_config().vocab_size)


def context(model: Path, settings: Training) -> int:
    """Number of tokens an example may have: the model's context, or `max_length` of the settings if
    that is less."""
    most = getattr(read_config(model).get_text_config(), "max_position_embeddings", None)
    return min(settings.max_length, int(most or 2**31))


def load_model(model: Path) -> PreTrainedModel:
    """The model of a folder in float32. Raises `UserError` if it is damaged or incomplete.

    Training keeps float32 weights whatever the folder holds: at the learning rates of fine-tuning
    most updates are smaller than half a bfloat16 step and would be lost.
    """
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            model,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except Exception as error:  # whatever a damaged folder makes of the loader, it is one line here
        raise UserError(f"the model in {model} cannot be loaded: {reason(error)}") from error
    network, report = cast(tuple[PreTrainedModel, dict[str, set[str]]], loaded)
    if report["missing_keys"]:
        raise UserError(f"the model in {model} lacks weights: {min(report['missing_keys'])}")
    return network


def logits(network: nn.Module, batch: Batch) -> Tensor:
    """Logits at the positions `batch["keep"]` of every row: `[B, kept, V]`."""
    told = attention.options(batch)
    if keeps := _keeps(network):
        told["logits_to_keep"] = batch["keep"]
    found: Tensor = network(input_ids=batch["ids"], use_cache=False, **told).logits
    return found if keeps else found[:, batch["keep"]]


def packing(
    network: PreTrainedModel, settings: Training, longest: int, other: PreTrainedModel | None = None
) -> tuple[Packing, str]:
    """The packing for this model, and the reason if it is none.

    longest: tokens of the longest path. other: a model that reads the same rows. If both can, they
        are made to attend along trees; if not, both are left with their own attention, which is the
        one that reads rows without a mask.
    """
    padded = Packing(settings.tokens, "padded")
    if not settings.packed:
        return padded, ""
    models = [network] if other is None or other is network else [network, other]
    own = [model.config._attn_implementation for model in models]
    if obstacle := next(filter(None, (_obstacle(model, longest) for model in models)), ""):
        for model, attends in zip(models, own, strict=True):
            model.set_attn_implementation(attends)
        return padded, obstacle
    if torch.cuda.is_available():
        for model in models:
            model.set_attn_implementation(FLEX)
        return Packing(settings.tokens, "flex"), ""
    return Packing(settings.tokens, "gathered"), ""


def _obstacle(network: PreTrainedModel, longest: int) -> str:
    """The reason why this model cannot compute prefix trees, found by a try-out. Empty: the model
    is left with the attention that can; otherwise with its own."""
    config = network.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    if window and longest > window and getattr(config, "use_sliding_window", True):
        return f"it attends to the last {window} tokens only, and a path has {longest}"
    if torch.cuda.is_available() and any(getattr(config, name, 0) for name in _DROPOUT):
        return "it drops out in attention, which the kernel for trees does not"
    trunk, branches = np.arange(1, 6, dtype=np.int32), ([7, 8], [9, 8, 7], [8, 8])
    examples = [
        Encoded((TokenPath(np.append(trunk, branch).astype(np.int32), 1),), 1.0, number)
        for number, branch in enumerate(branches)
    ]
    padded = Packing(64, "padded")
    own = network.config._attn_implementation
    alone = _log_probs(network, examples, padded)
    try:
        register()
        network.set_attn_implementation(GATHERED)
        for form in (padded, Packing(64, "gathered")):
            found = _log_probs(network, examples, form)
            if not torch.allclose(found, alone, atol=TOLERANCE):
                raise ValueError("it computes something else with it")
    except Exception as error:  # a model that cannot be told whom to attend to may say so anyhow
        network.set_attn_implementation(own)
        return f"its attention cannot be exchanged ({reason(error)})"
    return ""


def _log_probs(network: PreTrainedModel, examples: list[Encoded], form: Packing) -> Tensor:
    """Log-probability of every completion token, path by path."""
    batch = to_device(lay_out(examples, Likelihood(), Share(1, 1), form), network.device)
    training = network.training
    network.train(False)
    with torch.no_grad():
        scores = logits(network, batch).flatten(0, 1)
    network.train(training)
    return losses.log_probs(scores, batch["tokens"], batch["at"])[batch["members"]]


def with_adapters(network: PreTrainedModel, lora: Lora, seed: int) -> nn.Module:
    """The frozen model with trainable low-rank adapters. Raises `UserError` without peft."""
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise UserError("LoRA needs peft: pip install 'whorl[lora]'") from error
    torch.manual_seed(seed)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # any number will do
        lora_dropout=lora.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    with _of_no_concern():
        return get_peft_model(network, config)


def merge(model: Path, adapter: Path) -> PreTrainedModel:
    """The whole model of `model` and an adapter."""
    from peft import PeftModel

    with _of_no_concern():
        merged: Any = PeftModel.from_pretrained(load_model(model), adapter)
        return cast(PreTrainedModel, merged.merge_and_unload())


@contextmanager
def _of_no_concern() -> Iterator[None]:
    """Context without peft's warnings of renamed modules, which the user cannot change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def _keeps(network: nn.Module) -> bool:
    """Whether the model can compute logits of chosen positions only."""
    model: Any = getattr(network, "module", network)
    model = model.get_base_model() if hasattr(model, "get_base_model") else model
    return "logits_to_keep" in inspect.signature(model.forward).parameters

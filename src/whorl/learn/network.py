"""The model in training: loading it, and running it over packed rows."""

import inspect
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import create_block_mask
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from whorl.errors import UserError
from whorl.learn.layout import Batch
from whorl.learn.pack import Costs, prefix_tree
from whorl.learn.training import Lora, Training

TOLERANCE = 1e-3
"""Largest difference of logits that rounding explains, in units of the largest logit."""


def read_config(model: Path) -> PretrainedConfig:
    """The configuration of a model folder. Raises `UserError` if it cannot be read."""
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(model, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{model}/config.json cannot be read: {first_line(error)}") from error
    return config


def load(model: Path) -> PreTrainedModel:
    """The model of a folder in float32. Raises `UserError` if it is damaged or incomplete.

    Training keeps float32 weights whatever the folder holds: at the learning rates of fine-tuning
    most updates are smaller than half a bfloat16 step and would be lost.
    """
    flex = "flex_attention" if torch.cuda.is_available() else "sdpa"
    for attention in (flex, None):  # not every architecture has the fast ones
        options = {"attn_implementation": attention} if attention else {}
        try:
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                model,
                dtype=torch.float32,
                local_files_only=True,
                output_loading_info=True,
                **options,
            )
        except Exception as error:  # whatever a damaged folder makes of the loader, it is one line
            if attention and "does not support" in str(error):
                continue
            raise UserError(
                f"the model in {model} cannot be loaded: {first_line(error)}"
            ) from error
        break
    network, report = cast(tuple[PreTrainedModel, dict[str, set[str]]], loaded)
    if report["missing_keys"]:
        raise UserError(f"the model in {model} lacks weights: {min(report['missing_keys'])}")
    return network


def first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def logits(network: nn.Module, batch: Batch) -> Tensor:
    """Logits of the positions `batch["keep"]` of every row, `[B, K, V]`."""
    options: dict[str, Any] = {}
    if "ends" in batch:
        flex = _config(network)._attn_implementation == "flex_attention"
        options["attention_mask"] = (block_mask if flex else ancestor_mask)(batch["ends"])
        options["position_ids"] = batch["positions"]
    if _keeps(network):
        options["logits_to_keep"] = batch["keep"]
    found: Tensor = network(input_ids=batch["ids"], use_cache=False, **options).logits
    return found if _keeps(network) else found[:, batch["keep"]]


def ancestor_mask(ends_BT: Tensor) -> Tensor:
    """Who sees whom, `[B, 1, T, T]` bool: token i sees token j iff `j <= i < ends[j]`."""
    at_T = torch.arange(ends_BT.shape[1], device=ends_BT.device)
    return ((at_T <= at_T[:, None]) & (at_T[:, None] < ends_BT[:, None, :]))[:, None]


def block_mask(ends_BT: Tensor) -> Any:
    """`ancestor_mask` as FlexAttention takes it, which skips blocks where nobody sees anybody."""

    def sees(batch: Tensor, head: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return (j <= i) & (i < ends_BT[batch, j])

    rows, length = ends_BT.shape
    return create_block_mask(sees, rows, None, length, length, device=ends_BT.device.type)


def costs(network: PreTrainedModel, settings: Training, longest: int) -> tuple[Costs, str]:
    """How rows are best cut for this model, and why they cannot be packed, if they cannot.

    longest: tokens of the longest path.
    """
    plain = Costs(settings.tokens, even=_even(network), packed=False)
    if not settings.packed:
        return plain, ""
    if reason := unpackable(network, longest):
        return plain, reason
    if network.config._attn_implementation == "flex_attention":
        return Costs(settings.tokens, single=True), ""
    return Costs(settings.tokens, even=_even(network)), ""


def unpackable(network: PreTrainedModel, longest: int) -> str:
    """Why this model cannot compute packed rows; empty if it can, which is tried out."""
    window = getattr(network.config, "sliding_window", None)
    if window and longest > window and getattr(network.config, "use_sliding_window", True):
        return f"it attends to the last {window} tokens only, and a path has {longest}"
    trunk, branches = np.arange(1, 6, dtype=np.int32), ([7, 8], [9, 8, 7], [8, 8])
    paths = [np.append(trunk, branch).astype(np.int32) for branch in branches]
    tree = prefix_tree(paths)
    ends = torch.from_numpy(tree.ends)[None].long()
    training = network.training
    network.train(False)
    try:
        with torch.no_grad():
            packed = network(
                input_ids=torch.from_numpy(tree.ids)[None].long(),
                position_ids=torch.from_numpy(tree.depths)[None].long(),
                attention_mask=(
                    block_mask(ends)
                    if network.config._attn_implementation == "flex_attention"
                    else ancestor_mask(ends)
                ),
                use_cache=False,
            ).logits[0]
            for path, at in zip(paths, tree.paths, strict=True):
                alone = network(input_ids=torch.from_numpy(path)[None].long()).logits[0]
                if (packed[at] - alone).abs().max() > TOLERANCE * alone.abs().max():
                    return "its attention does not follow a mask"
    except Exception as error:  # a model that takes no mask may say so in any way
        return f"it takes no attention mask of our own ({first_line(error)})"
    finally:
        network.train(training)
    return ""


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
    return get_peft_model(network, config)


def merge(model: Path, adapter: Path) -> PreTrainedModel:
    """The whole model that an adapter makes of `model`."""
    from peft import PeftModel

    merged: Any = PeftModel.from_pretrained(load(model), adapter)
    return cast(PreTrainedModel, merged.merge_and_unload())


def _even(network: PreTrainedModel) -> float:
    """Row length at which attention costs as much as all else (measured, docs/log.md).

    A masked product on a CPU takes half as long again for the same arithmetic as a plain one.
    """
    config = network.config
    inputs = network.get_input_embeddings()
    parameters = sum(p.numel() for p in network.parameters())
    if not config.tie_word_embeddings and isinstance(inputs, nn.Embedding):
        parameters -= inputs.weight.numel()
    return parameters / (3.0 * int(config.num_hidden_layers) * int(config.hidden_size))


def _config(network: nn.Module) -> PretrainedConfig:
    """Of the model itself, under whatever distributes it."""
    return cast(PretrainedConfig, getattr(network, "module", network).config)


def _keeps(network: nn.Module) -> bool:
    """Whether the model computes logits of chosen positions only."""
    model: Any = getattr(network, "module", network)
    model = model.get_base_model() if hasattr(model, "get_base_model") else model
    return "logits_to_keep" in inspect.signature(model.forward).parameters

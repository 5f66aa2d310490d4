"""What a configuration says of a Llama-family model's shape."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

_SAID = (
    *("model_type", "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"),
    *("num_key_value_heads", "max_position_embeddings", "rms_norm_eps", "hidden_act"),
    *("tie_word_embeddings", "rope_parameters"),
)


def read_shape(folder: Path) -> Any:
    """The configuration of a model folder, with the names that transformers gives its settings.

    A file that transformers 5 wrote says all that is needed itself. Only for another one, which has
    older names or leaves usual values out, transformers' models are imported: two seconds of a
    processor.
    """
    said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    wanted = _SAID if said.get("model_type") == "qwen2" else (*_SAID, "head_dim")
    rope = said.get("rope_parameters") or {}
    plain = rope.get("rope_type") == "default" and "rope_theta" in rope
    if plain and all(name in said for name in wanted):
        return SimpleNamespace(**said)
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)

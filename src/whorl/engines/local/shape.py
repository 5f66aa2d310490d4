"""What a configuration says of a Llama-family model's shape."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

_COUNTS = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"),
    *("num_key_value_heads", "max_position_embeddings"),
)
_KINDS = {
    **dict.fromkeys(_COUNTS, int),
    **{"model_type": str, "hidden_act": str, "rms_norm_eps": float, "tie_word_embeddings": bool},
}


def read_shape(folder: Path) -> Any:
    """The configuration of a model folder, with the names that transformers gives its settings.

    A file that transformers 5 wrote says all that is needed itself. Only for another one, which has
    older names, leaves usual values out or is damaged, transformers' models are imported: two
    seconds of a processor. Raises as transformers does of what is damaged.
    """
    said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if _whole(said):
        return SimpleNamespace(**said)
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def _whole(said: Mapping[str, Any]) -> bool:
    """Whether a configuration says all that is needed, and makes sense."""
    kinds = _KINDS if said.get("model_type") == "qwen2" else _KINDS | {"head_dim": int}
    if not all(type(said.get(name)) is kind for name, kind in kinds.items()):
        return False
    rope, heads = said.get("rope_parameters") or {}, said["num_attention_heads"]
    usual = rope.get("rope_type") == "default" and isinstance(rope.get("rope_theta"), int | float)
    return usual and heads > 0 and said["hidden_size"] % heads == 0

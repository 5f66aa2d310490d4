"""A model folder's tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whorl.errors import UserError, reason

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_OWN = {
    ("llama", "TokenizersBackend"),
    ("llama", "PreTrainedTokenizerFast"),
    ("qwen2", "Qwen2Tokenizer"),
    ("qwen3", "Qwen2Tokenizer"),
}
"""Kinds of model, and classes named in tokenizer_config.json that `AutoTokenizer` takes for them as
they stand."""


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder, as `AutoTokenizer` has it. Raises `UserError` if there is
    none."""
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} is not a model folder: it has no config.json")
    if not any(folder.glob("tokenizer*")):
        raise UserError(f"{folder} has no tokenizer; save the model's tokenizer beside it")
    try:
        tokenizer: PreTrainedTokenizerBase = _class(folder).from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # whatever a damaged file makes of the loader, it is one line
        raise UserError(f"the tokenizer in {folder} cannot be read: {reason(error)}") from error
    if len(tokenizer) <= len(tokenizer.get_added_vocab()):  # some classes make do with no words
        raise UserError(
            f"the tokenizer in {folder} has no vocabulary; put its tokenizer.json there, or "
            "vocab.json and merges.txt, or tokenizer.model"
        )
    return tokenizer


def _class(folder: Path) -> Any:
    """The class that loads a folder's tokenizer: its own where that is known. `AutoTokenizer` looks
    for it among models, and imports torch and what trains them, three seconds of a processor."""
    import transformers

    kind = _said(folder / "config.json").get("model_type")
    said = _said(folder / "tokenizer_config.json")
    name = str(said.get("tokenizer_class"))
    own = (kind, name) in _OWN and "auto_map" not in said
    return getattr(transformers, name if own else "AutoTokenizer")


def _said(path: Path) -> dict[str, Any]:
    """A file of settings; none in one that `AutoTokenizer` is to find fault with."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}

"""The tokenizer and chat template of a model that runs elsewhere."""

import re
from pathlib import Path

from whorl.chat import Chat
from whorl.engines.model import SHIPPED, find_model
from whorl.errors import UserError, reason

_FILES = ["config.json", "tokenizer*", "*.jinja", "special_tokens_map.json", "vocab*", "merges.txt"]


def load_chat(named: str, model: str) -> Chat | None:
    """The tokenizer in the folder, or of the hub's model, that is named; else that of `model` if
    its name is one, or None: a folder may be called as a model is and be something else. Raises
    `UserError` if what was named cannot be had."""
    name = named or model
    if named in SHIPPED and not Path(named).is_dir():
        name = str(find_model(named).folder)
    if Path(name).is_dir():
        try:
            return Chat.load(Path(name))
        except UserError:
            if named:
                raise
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        from huggingface_hub import snapshot_download

        try:
            return Chat.load(Path(snapshot_download(name, allow_patterns=_FILES)))
        except (OSError, ValueError, UserError) as error:  # ValueError: no name that it can have
            if named:
                raise UserError(
                    f"the tokenizer of {name} cannot be fetched from the hub: {reason(error)}"
                ) from error
    if named:
        raise UserError(f"there is no tokenizer folder {named!r}; give tokenizer=FOLDER, or policy")
    return None

"""Models that a comparison has asked: they stay what they were, or rows would not compare."""

import json
from collections.abc import Sequence
from pathlib import Path

from whorl.data.atomic import replacing
from whorl.engines.model import model_content
from whorl.errors import UserError


def hold_to(folder: Path, names: Sequence[str], *, write: bool = True) -> None:
    """Look whether models are what they were when the comparison in `folder` first asked them; with
    `write` those that it has not asked yet are noted. A model behind a server is known by its name
    alone. Raises `UserError` if one has changed."""
    file = folder / "models.json"
    known: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    now = {name: model_content(name) for name in names}
    for name, content in now.items():
        if known.get(name, content) != content:
            raise UserError(
                f"{name} has changed since {folder} asked it: it is {content}, and was "
                f"{known[name]}; bring that one back, or compare in another folder"
            )
    if write and now.keys() - known.keys():
        with replacing(file) as out:
            out.write(json.dumps(known | now, indent=2).encode() + b"\n")

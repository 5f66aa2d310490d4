"""The words under which a model folder's model was trained, as the folder says it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from whorl.data.atomic import replacing
from whorl.errors import UserError
from whorl.prompts.wording import WHORL, Request, Shot, Wording

FILE = "whorl_prompt.json"
"""How the model is asked for a solution; not there if in the words of the house."""

HOUSE = "whorl"
"""The protocol of evaluation under which a question is asked in `Wording`s."""


def write_prompt(folder: Path, words: Wording, protocol: str = HOUSE) -> None:
    """Write into a model folder the words in which its model was asked when it was trained, or the
    protocol that has words of its own."""
    if words.default and protocol == HOUSE:
        (folder / FILE).unlink(missing_ok=True)
        return
    said: dict[str, object] = {"protocol": protocol}
    if protocol == HOUSE:
        shots = [asdict(shot) for shot in words.examples]
        said = {"solve": asdict(words.solve), "examples": shots}
    with replacing(folder / FILE) as file:
        file.write(json.dumps(said, indent=2).encode() + b"\n")


def read_prompt(folder: Path) -> Wording:
    """The words that a model folder says, or those of the house. Raises `UserError` if they cannot
    be read."""
    said = _read(folder)
    if said is None or "protocol" in said:
        return WHORL
    try:
        shots = tuple(Shot(**shot) for shot in said["examples"])
        return Wording(solve=Request(**said["solve"]), examples=shots)
    except (ValueError, TypeError, KeyError) as error:
        raise _unreadable(folder, error) from error


def read_protocol(folder: Path) -> str:
    """The protocol of evaluation by which a folder's model was asked when it was trained. Raises
    `UserError` if the folder's file cannot be read."""
    return str((_read(folder) or {}).get("protocol", HOUSE))


def _read(folder: Path) -> dict[str, Any] | None:
    if not (folder / FILE).is_file():
        return None
    try:
        return dict(json.loads((folder / FILE).read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise _unreadable(folder, error) from error


def _unreadable(folder: Path, error: Exception) -> UserError:
    return UserError(f"{folder / FILE} cannot be read: {' '.join(str(error).split())}")

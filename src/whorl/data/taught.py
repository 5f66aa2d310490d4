"""The words under which a model folder's model was trained, as the folder says it."""

import json
from dataclasses import asdict
from pathlib import Path

from whorl.data.atomic import replacing
from whorl.errors import UserError
from whorl.prompts.wording import WHORL, Request, Shot, Wording

FILE = "whorl_prompt.json"
"""How the model is asked for a solution; not there if in the words of the house."""


def write_prompt(folder: Path, words: Wording) -> None:
    """Write into a model folder the words in which its model was asked when it was trained."""
    if words.default:
        (folder / FILE).unlink(missing_ok=True)
        return
    said = {"solve": asdict(words.solve), "examples": [asdict(shot) for shot in words.examples]}
    with replacing(folder / FILE) as file:
        file.write(json.dumps(said, indent=2).encode() + b"\n")


def read_prompt(folder: Path) -> Wording:
    """The words that a model folder says, or those of the house. Raises `UserError` if they cannot
    be read."""
    file = folder / FILE
    if not file.is_file():
        return WHORL
    try:
        said = json.loads(file.read_bytes())
        shots = tuple(Shot(**shot) for shot in said["examples"])
        return Wording(solve=Request(**said["solve"]), examples=shots)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{file} cannot be read: {' '.join(str(error).split())}") from error

"""The recipe that harvested a file of examples, and its objective: kept beside the file."""

import json
from dataclasses import asdict
from pathlib import Path

from whorl.data.atomic import replacing
from whorl.errors import UserError
from whorl.example import Distillation, Likelihood, Objective, Preference

_KINDS: dict[str, type[Likelihood] | type[Preference] | type[Distillation]] = {
    "likelihood": Likelihood,
    "preference": Preference,
    "distillation": Distillation,
}


def write_purpose(examples: Path, recipe: str, objective: Objective) -> None:
    """Write which recipe harvested the file `examples`, by name, and its objective."""
    kind = next(name for name, kind in _KINDS.items() if isinstance(objective, kind))
    said = {"recipe": recipe, "objective": kind, **asdict(objective)}
    with replacing(purpose_file(examples)) as file:
        file.write(json.dumps(said, indent=2).encode() + b"\n")


def read_purpose(examples: Path) -> tuple[str, Objective] | None:
    """The name of the recipe that harvested the file `examples`, and its objective; None if nothing
    says so. Raises `UserError` if what says so is damaged."""
    path = purpose_file(examples)
    if not path.is_file():
        return None
    try:
        said = json.loads(path.read_bytes())
        recipe = str(said.pop("recipe"))
        return recipe, _KINDS[said.pop("objective")](**said)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} cannot be read: {error}; harvest again") from error


def purpose_file(examples: Path) -> Path:
    """The file beside `examples` that says what they are for."""
    return examples.with_name(f"{examples.name.removesuffix('.jsonl')}.objective.json")

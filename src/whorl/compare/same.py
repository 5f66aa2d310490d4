"""Models that a comparison has asked, and its words: they stay, or rows would not compare."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from whorl.data.atomic import replacing
from whorl.engines.model import model_content
from whorl.errors import UserError
from whorl.evaluate import Place
from whorl.evaluate.exam import Exam


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


def hold_to_words(folder: Path, exams: Mapping[str, Exam]) -> None:
    """Look whether the base model of the comparison in `folder`, where it was measured before, was
    asked as students will be. Raises `UserError` if it was asked in other words."""
    for name, exam in exams.items():
        words = Place(folder / "base" / f"{name}.jsonl").said().get("prompt")
        if words and words != asdict(exam.setup.ask("QUESTION")):
            raise UserError(
                f"the base model in {folder} was asked in other words than these recipes ask in "
                f"({words['user']!r}), so no gain could be told; leave recipe.words as "
                "they were, or compare in another folder"
            )

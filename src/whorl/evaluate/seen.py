"""Questions that a model was trained on, so that it is not measured on them."""

from collections.abc import Iterable
from pathlib import Path

from whorl.data.contamination import fingerprints_in
from whorl.engines.model import model_folder
from whorl.errors import UserError
from whorl.learn.folder import QUESTIONS, read_questions

LEARNED = ("trees.jsonl", "examples.jsonl")
"""Files of a run whose questions a model of it may have been trained on."""


def trained_on(spec: str, others: Iterable[Path] = ()) -> frozenset[str]:
    """Fingerprints of the questions that a model was trained on, as far as its folder and `others`
    say.

    spec: an engine; a folder that whorl trained says what it learned from.
    others: run folders, model folders, or files of problems, trees or examples that it was trained
        on as well. Raises `UserError` at one that names no question.
    """
    folder = model_folder(spec)
    known = set(read_questions(folder)) if folder else set()
    for path in others:
        found = _in_folder(path) if path.is_dir() else fingerprints_in(path)
        if not found:
            raise UserError(f"{path} holds no question; name a run folder, a model or a file")
        known |= found
    return frozenset(known)


def _in_folder(folder: Path) -> set[str]:
    found: set[str] = set()
    for name in (QUESTIONS, *LEARNED):
        for path in sorted(folder.rglob(name)):
            found |= read_questions(path.parent) if name == QUESTIONS else fingerprints_in(path)
    return found

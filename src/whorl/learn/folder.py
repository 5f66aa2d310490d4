"""Questions that a model was trained on, as its folder records them."""

from collections.abc import Iterable
from pathlib import Path

QUESTIONS = "trained-on.txt"
"""A `fingerprint` of a question on each line, sorted; 17 bytes each."""


def write_questions(folder: Path, model: Path, fingerprints: Iterable[str]) -> None:
    """Write into `folder` fingerprints of the questions that its model was trained on; those of
    `model`, from which it started, are among them."""
    known = read_questions(model).union(filter(None, fingerprints))
    text = "".join(f"{each}\n" for each in sorted(known))
    (folder / QUESTIONS).write_text(text)


def read_questions(folder: Path) -> frozenset[str]:
    """Fingerprints of the questions that a model was trained on; empty if its folder has no
    record."""
    path = folder / QUESTIONS
    return frozenset(path.read_text().split()) if path.is_file() else frozenset()

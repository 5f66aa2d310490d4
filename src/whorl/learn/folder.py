"""What a model folder says of the questions that its model was trained on."""

from collections.abc import Iterable
from pathlib import Path

QUESTIONS = "trained-on.txt"
"""A `fingerprint` of a question on each line, sorted; 17 bytes each."""


def write_questions(folder: Path, model: Path, fingerprints: Iterable[str]) -> None:
    """Write into `folder` what its model was trained on, and `model`, which it started from."""
    known = read_questions(model).union(filter(None, fingerprints))
    text = "".join(f"{each}\n" for each in sorted(known))
    (folder / QUESTIONS).write_text(text)


def read_questions(folder: Path) -> frozenset[str]:
    """Fingerprints of the questions that a model was trained on; empty if the folder says none."""
    path = folder / QUESTIONS
    return frozenset(path.read_text().split()) if path.is_file() else frozenset()

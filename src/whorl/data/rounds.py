"""Folders of the rounds of a run: `round-1`, `round-2` and so on."""

import re
from pathlib import Path

_ROUND = re.compile(r"round-([1-9][0-9]*)")


def number_of(path: Path) -> int:
    """Number of the round that a folder is, by its name; 0 if it is none, as a copy called
    `round-2.bak`."""
    found = _ROUND.fullmatch(path.name)
    return int(found[1]) if found else 0


def rounds_of(run: Path) -> list[Path]:
    """The folders of the rounds in a run folder, in order."""
    found = (path for path in run.glob("round-*") if number_of(path) and path.is_dir())
    return sorted(found, key=number_of)

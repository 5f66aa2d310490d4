"""Folders that can be made again, and are kept: copies of what is elsewhere, converted models."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from whorl.data.place import place_of
from whorl.errors import UserError

ABANDONED = 86_400.0  # seconds after which nobody is still making a folder
_PARTIAL = ".partial-"


def cached(*parts: str, make: Callable[[Path], None], room: int | None = None) -> Path:
    """The folder of that name in the cache; where there is none `make` fills one, which appears
    when it is complete.

    room: bytes that the folders beside it may take; those used longest ago make way for it.
    """
    place = place_of(*parts)
    if place.is_dir():
        with suppress(OSError):  # of somebody else
            os.utime(place)
        return place
    if room is not None:
        _make_way(place.parent, room)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=place.parent, prefix=_PARTIAL))
    except OSError as error:
        raise UserError(f"{place.parent} cannot be written: {error.strerror}") from error
    try:
        make(partial)
        partial.chmod(0o755)
        partial.rename(place)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if not (isinstance(error, OSError) and place.is_dir()):  # another process was faster
            raise
    return place


def _make_way(folder: Path, room: int) -> None:
    """Take away what a killed process left, and of the rest what was used longest ago, until that
    takes less than `room` bytes."""
    used: list[tuple[float, int, Path]] = []
    for each in folder.iterdir() if folder.is_dir() else ():
        with suppress(OSError):  # another process takes it away too
            used.append((each.stat().st_mtime, _size(each), each))
    left = 0
    for when, size, each in sorted(used, reverse=True):
        if each.name.startswith(_PARTIAL):
            gone = time.time() - when > ABANDONED
        else:
            left += size
            gone = left > room
        if gone:
            shutil.rmtree(each, ignore_errors=True)


def _size(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.rglob("*"))

"""Where model folders lie that were made of something else."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from whorl.errors import UserError


def place_of(*parts: str) -> Path:
    """Where a folder of that name lies in the cache (`XDG_CACHE_HOME`, else `~/.cache`)."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root.joinpath("whorl", *parts)


def cached(*parts: str, make: Callable[[Path], None]) -> Path:
    """The folder of that name in the cache; where there is none `make` fills one, which appears
    when it is complete."""
    place = place_of(*parts)
    if place.is_dir():
        return place
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=place.parent, prefix=".partial-"))
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

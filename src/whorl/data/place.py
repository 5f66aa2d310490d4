"""Where files lie on this machine that whorl can make or fetch again."""

import os
from pathlib import Path


def place_of(*parts: str) -> Path:
    """Where a folder of that name lies in the cache (`XDG_CACHE_HOME`, else `~/.cache`)."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root.joinpath("whorl", *parts)

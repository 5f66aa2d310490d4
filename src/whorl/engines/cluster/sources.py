"""Versions that all processes of a cluster must have in common."""

import platform
from functools import cache
from hashlib import blake2b
from pathlib import Path

from whorl import __version__


@cache
def sources() -> dict[str, str]:
    """This process's whorl, by version and a digest of its code, and its Python."""
    digest = blake2b(digest_size=4)
    home = Path(__file__).parents[2]
    for path in sorted(home.rglob("*.py")):
        digest.update(str(path.relative_to(home)).encode() + path.read_bytes())
    return {
        "whorl": f"{__version__} (code {digest.hexdigest()})",
        "python": platform.python_version(),
    }

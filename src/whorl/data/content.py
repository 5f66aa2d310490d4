"""Names of files by content, for whatever a result depends on."""

import hashlib
from pathlib import Path


def content(path: Path) -> str:
    """Name of a file or folder, and a digest of its bytes."""
    digest = hashlib.blake2b(digest_size=6)
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "blake2b").digest())
    return f"{path.name} {digest.hexdigest()}"

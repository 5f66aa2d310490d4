"""What a result depends on, named by its bytes and not by where it lies."""

import hashlib
from dataclasses import replace
from pathlib import Path

from whorl.spec import Spec


def content(path: Path) -> str:
    """A file's or folder's name and a digest of its bytes."""
    digest = hashlib.blake2b(digest_size=6)
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "blake2b").digest())
    return f"{path.name} {digest.hexdigest()}"


def model_content(spec: str) -> str:
    """What replies depend on: a model of this machine by its content, which training may have
    changed in its place, one behind a server by its name if that is given, wherever it is."""
    named = Spec.read(spec)
    if folder := model_folder(spec):
        return str(replace(named, place=content(folder)))
    model = named.settings.get("model")
    return f"{named.scheme}:{model}" if model else spec


def model_folder(spec: str) -> Path | None:
    """The folder of a model of this machine: what its name has before the arguments; None for
    a model elsewhere."""
    place = Spec.read(spec).place
    return Path(place) if place and Path(place).is_dir() else None

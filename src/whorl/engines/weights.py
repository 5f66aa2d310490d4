"""The safetensors files of a model folder: which they are, how much they hold, and their digest."""

import hashlib
import json
import math
import struct
from pathlib import Path

from whorl.data.cache import cached


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model folder; empty if it has none."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        names = json.loads(index.read_text())["weight_map"].values()
        return [folder / name for name in sorted(set(names))]
    single = folder / "model.safetensors"
    return [single] if single.is_file() else []


def weight_count(folder: Path) -> int:
    """Numbers in the weights of a model folder. Only the headers of its files are read; a damaged
    file counts nothing, as whoever loads it says what is wrong with it."""
    return sum(map(_count, weight_files(folder) or folder.glob("*.safetensors")))


def _count(file: Path) -> int:
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(length))
        return sum(math.prod(header[name]["shape"]) for name in header.keys() - {"__metadata__"})
    except (OSError, ValueError, KeyError, TypeError, struct.error, MemoryError, OverflowError):
        return 0


def weights_digest(folder: Path) -> str:
    """A digest of a folder's configuration and weights. A file whose digest is known, by its place,
    size and time, is not read again."""
    digest = hashlib.blake2b((folder / "config.json").read_bytes(), digest_size=8)
    for file in weight_files(folder):
        about = file.stat()
        name = f"{file.resolve()}\0{about.st_size}\0{about.st_mtime_ns}"
        known = hashlib.blake2b(name.encode(), digest_size=12).hexdigest()

        def make(place: Path, file: Path = file) -> None:
            with file.open("rb") as stream:
                found = hashlib.file_digest(stream, "blake2b").hexdigest()
            (place / "blake2b").write_text(found)

        digest.update((cached("digests", known, make=make) / "blake2b").read_bytes())
    return digest.hexdigest()

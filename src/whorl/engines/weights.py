"""The safetensors files of a model folder: which they are, how much they hold, and their digest."""

import hashlib
import json
import math
import re
import struct
from pathlib import Path

from whorl.data.cache import cached

_LAYER = re.compile(r"model\.layers\.(\d+)\.")
_ABOUT = "__metadata__"  # of a safetensors file: the one name in its header that is no weight's


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
    return sum(math.prod(shape) for shape in weight_shapes(folder).values())


def tied_count(folder: Path) -> int:
    """Numbers in the embeddings of a model folder, if they are its output matrix too; else 0."""
    shapes = weight_shapes(folder)
    embedding = shapes.get("model.embed_tokens.weight", [0])
    return 0 if "lm_head.weight" in shapes else math.prod(embedding)


def layer_count(folder: Path) -> int:
    """Layers of which a decoder's folder has weights, by their names; 0 where names tell none."""
    found = (_LAYER.match(name) for name in weight_shapes(folder))
    return max((int(match[1]) + 1 for match in found if match), default=0)


def weight_shapes(folder: Path) -> dict[str, list[int]]:
    """Shapes of the weights of a model folder, by name; without those of a damaged file."""
    shapes: dict[str, list[int]] = {}
    for file in weight_files(folder) or folder.glob("*.safetensors"):
        shapes |= _shapes(file)
    return shapes


def _shapes(file: Path) -> dict[str, list[int]]:
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(length))
        return {name: [*map(int, header[name]["shape"])] for name in header.keys() - {_ABOUT}}
    except (OSError, ValueError, KeyError, TypeError, struct.error, MemoryError, OverflowError):
        return {}


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

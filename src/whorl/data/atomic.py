"""Files and folders that are either not there or complete."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from whorl.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Context that writes a file which appears at `path`, on disk, if the block ends without error.
    Folders on the way to it are made.

    Until then an older file keeps its place. Raises `UserError` where the system refuses to write.
    """
    unfinished = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        _sync(path.parent)
    except BaseException as error:
        with suppress(OSError):
            unfinished.unlink()
        if isinstance(error, OSError):
            raise unwritable(path, error) from error
        raise


@contextmanager
def filling(folder: Path, what: str) -> Iterator[Path]:
    """Context that fills a folder, whose files appear in `folder` if the block ends without error.

    what: the folder is for. Raises `UserError` if there is something already, or the system refuses
    to write.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is not empty; name a new folder for {what}")
    place = folder.resolve()  # who names a link means what it leads to
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=place.parent, prefix=f".{place.name}-") as unfinished:
            yield Path(unfinished)
            place.mkdir(exist_ok=True)  # one that is there stays, as somebody may stand in it
            for each in sorted(Path(unfinished).iterdir()):
                each.rename(place / each.name)
    except OSError as error:
        raise unwritable(folder, error) from error


def unwritable(path: Path, error: OSError) -> UserError:
    """Message for someone whose disk is full, or who may not write there."""
    return UserError(
        f"{path} cannot be written: {error.strerror}; nothing finished is lost: "
        "put that right, then give the same command again"
    )


def _sync(folder: Path) -> None:
    """Sync a folder, so that a rename in it is on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

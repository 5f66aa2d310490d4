"""Locks of files and folders, which the system releases however a process ends."""

import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from whorl.data.atomic import unwritable
from whorl.errors import UserError


class InUseError(UserError):
    """A file or folder that another process has locked."""


def take(lock: FileIO, path: Path, other: str, how: int = fcntl.LOCK_EX) -> None:
    """Lock `path` for this process by `lock`, a file that says who has it. Raises `InUseError` if
    somebody has.

    other: what to choose in its place, in words. how: `LOCK_EX` for this process alone, `LOCK_SH`
    for it and others that lock it so.
    """
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.seek(0)
        owner = lock.read().decode("ascii", "replace").strip()
        who = f"process {owner}" if owner else "other processes"
        raise InUseError(f"{path} is in use by {who}; wait for it or use {other}") from error
    lock.truncate(0)
    if how == fcntl.LOCK_EX:
        lock.write(f"{os.getpid()} on {platform.node()}\n".encode())


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Context that has `path`, a file to be made, locked for this process, by `NAME.lock` beside
    it, which goes at the end. Raises `InUseError` if another process has it."""
    beside = path.with_name(path.name + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = beside.open("a+b", buffering=0)
    except OSError as error:
        raise unwritable(beside, error) from error
    with lock:
        with suppress(OSError):  # no locks on this disk, or no room to say whose this is
            take(lock, path, "another name")
        if not os.fstat(lock.fileno()).st_nlink:  # removed by who had it, and another may have one
            raise InUseError(f"{path} was in use until now; give the command again")
        try:
            yield
        finally:
            beside.unlink(missing_ok=True)

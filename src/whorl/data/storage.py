"""Object stores behind URLs, such as s3://bucket/name: files and folders are copied from there and
to there, by fsspec."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

from whorl.data.cache import cached
from whorl.data.place import place_of
from whorl.errors import UserError

_URL = re.compile(r"([a-z][a-z0-9+.-]+):/{1,2}(?!/)")
_OURS = re.compile(r"(?:.*\.)?lock|\.probe-.*|.*(?:\.partial|-wal|-shm)")
"""Names of files that mean something to a process alone."""
LOCAL = (
    "locks and SQLite need a disk: `whorl copy` brings it from there, and takes it there when it "
    "is finished"
)
_LAST = "manifest.json"  # without it a folder is no run


def url_of(path: Path | str) -> str:
    """The URL that a path stands for: `Path` leaves only one of its slashes. Empty if it is a path
    like any other."""
    text = str(path)
    found = _URL.match(text)
    if not found or Path(text).exists():
        return ""
    from fsspec import available_protocols  # type: ignore[import-untyped]

    known = found[1] in available_protocols() and found[1] not in ("file", "local")
    return f"{found[1]}://{text[found.end() :]}" if known else ""


def fetched(url: str, *, beside: str = "") -> Path:
    """A copy of the file at a URL, or of the folder of all that is below it, under its own name in
    the cache; it is made again when what is there has changed, or the store does not tell. Raises
    `UserError` if nothing can be read there.

    beside: name of a file beside it that comes along, if there is one.
    """
    with _store(url) as (store, root):
        home, _, name = root.rstrip("/").rpartition("/")
        found = store.find(root, detail=True)
        other = f"{home}/{beside}"
        found |= store.find(other, detail=True) if beside and store.exists(other) else {}
        digest, known = blake2b(url.encode(), digest_size=8), True
        for file, said in sorted(found.items()):
            state = {k: str(v) for k, v in said.items() if k.lower() in _STATE}
            known = known and len(state) > ("size" in state)
            digest.update(json.dumps([file, state], sort_keys=True).encode())
    place = place_of("urls", digest.hexdigest())
    # of another day, for all that the store says, or of which somebody has taken the file away; a
    # folder that another process makes meanwhile has its file as soon as it is there
    if not known or (place.is_dir() and not (place / name).exists()):
        shutil.rmtree(place, ignore_errors=True)

    def make(folder: Path) -> None:
        if other in found:
            download(f"{url.rpartition('/')[0]}/{beside}", folder / beside)
        download(url, folder / name)

    return cached("urls", digest.hexdigest(), make=make) / name


_STATE = {"size", "etag", "lastmodified", "last_modified", "mtime", "updated", "created"}
"""What stores say of a file that tells whether it is still the same."""


def download(url: str, path: Path) -> int:
    """Copy the file at a URL, or all that is below it, to `path`, which appears when it is whole;
    returns the number of files. Raises `UserError` if nothing is there."""
    unfinished = path.with_name(path.name + ".partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    with _store(url) as (store, root):
        names = store.find(root)
        if not names:
            raise FileNotFoundError(root)
        for name in names:
            below = name[len(root.rstrip("/")) :].lstrip("/")
            target = (unfinished / below) if below else unfinished
            if not target.resolve().is_relative_to(unfinished.resolve()):
                raise UserError(f"{url} has a file that would lie outside {path}: {below}")
            target.parent.mkdir(parents=True, exist_ok=True)
            store.get_file(name, str(target))
    os.replace(unfinished, path)
    return len(names)


def upload(path: Path, url: str) -> int:
    """Copy a file, or all that is in a folder, to a URL, where it takes the place of files of the
    same names; returns the number of files. The manifest of a run comes last, so that a copy that
    broke off is no run. Raises `UserError` if it cannot be written there."""
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    wanted = [one for one in files if not _OURS.fullmatch(one.name)]
    if not wanted:
        raise UserError(f"{path}: there is nothing to copy")
    with _store(url) as (store, root):
        for file in sorted(wanted, key=lambda one: (one.name == _LAST, one)):
            below = "" if file == path else f"/{file.relative_to(path).as_posix()}"
            store.put_file(str(file), f"{root.rstrip('/')}{below}")
    return len(wanted)


@contextmanager
def _store(url: str) -> Iterator[tuple[Any, str]]:
    """The store that a URL names, and the path in it. Whatever goes wrong with it is a
    `UserError`."""
    import fsspec

    try:
        store, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        yield store, root
    except UserError:
        raise
    except ImportError as error:
        extra = "pip install 'whorl[s3]'" if url.startswith("s3") else str(error)
        raise UserError(f"{url}: what reads such URLs is not installed: {extra}") from error
    except FileNotFoundError as error:
        raise UserError(f"{url}: there is nothing of that name") from error
    except Exception as error:  # every kind of store has errors of its own
        what = " ".join(str(error).split())[:300]
        raise UserError(f"{url}: {what or type(error).__name__}") from error

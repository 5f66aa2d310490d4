"""Paths that end in a name, so that files can lie beside them under it."""

from pathlib import Path

from whorl.errors import UserError


def named(path: Path) -> Path:
    """The path, spelt out where its last part is no name, as of `.` and `..`. Raises `UserError`
    for the root of all folders."""
    if path.name not in ("", ".."):
        return path
    found = path.resolve()
    if not found.name:
        raise UserError(f"{found} is the root of all folders; name a folder or a file in it")
    return found

"""`whorl copy`."""

from typing import Annotated

import typer

EXAMPLES = (
    "whorl copy runs/a s3://bucket/runs/a",
    "whorl copy s3://bucket/runs/a copies/a",
)


def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="Path or URL.", show_default=False)],
    target: Annotated[str, typer.Argument(metavar="TO", help="URL or path.", show_default=False)],
) -> None:
    """Copy a run folder, a model or a file to an object store, or from there.

    One of the two is a URL that fsspec knows, such as s3://bucket/name (pip
    install 'whorl\\[s3]'; keys, region and endpoint are read where the AWS tools
    read them, as AWS_ENDPOINT_URL). A run folder itself lies on a disk, as
    locks and SQLite need one: a run is copied as a whole when no process is at
    work in it, and a copy goes on where it stopped.
    """
    from contextlib import nullcontext
    from pathlib import Path

    from whorl.cli.display import Display
    from whorl.data.naming import named
    from whorl.data.storage import download, upload, url_of
    from whorl.errors import UserError
    from whorl.loop.folder import RunFolder

    there, here = url_of(source), url_of(target)
    if bool(there) == bool(here):
        raise UserError("one of the two should be a URL, such as s3://bucket/name, and one a path")
    path = named(Path(target if there else source))
    if there:
        if path.is_file() or (path.is_dir() and any(path.iterdir())):
            raise UserError(f"{path} is there already; name a new path")
        count = download(there, path)
    else:
        if not path.exists():
            raise UserError(f"{path}: there is no such file")
        own = RunFolder.read(path) if (path / "manifest.json").exists() else None
        with RunFolder.open(path, own.settings, version=own.version) if own else nullcontext():
            count = upload(path, here)
    Display().say(f"wrote {target}: {count:,} files")

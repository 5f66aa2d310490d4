"""URLs among the paths of a command: what is read is fetched first, what is written goes there at
the end; everything else has to lie on this machine."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from whorl.cli.speech import SPEECH, Speech
from whorl.errors import UserError

READ = {
    "compare": ("problems", "test", "often"),
    "evaluate": ("problems",),
    "export": ("source",),
    "grow": ("problems",),
    "harvest": ("run",),
    "report": ("run",),
    "show": ("where",),
    "train": ("examples",),
    "view": ("runs",),
}
"""Paths that may be URLs, by command: each is read from its beginning to its end."""

WRITTEN = {"export": ("out",), "harvest": ("out",), "problems": ("out",), "report": ("out",)}


@contextmanager
def local(command: str, given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The arguments of a command with paths of this machine for URLs; when the command has ended
    well, what it wrote is copied to where it should be. Raises `UserError` at a URL for what must
    be a path."""
    from whorl.data.storage import LOCAL, upload, url_of

    urls = {name: url for name, at in given.items() if isinstance(at, Path) and (url := url_of(at))}
    ours = dict(given)
    for name in READ.get(command, ()):
        url = urls.get(name, "")
        if url and command in WRITTEN and not given["out"]:
            raise UserError(f"{url} is read where it is; name --out for what is made of it")
        at = given.get(name)
        ours[name] = [_here(each) for each in at] if isinstance(at, list) else _here(at)
    for name, url in urls.items():
        if name not in (*READ.get(command, ()), *WRITTEN.get(command, ())):
            raise UserError(f"{url}: {name} has to be a path on this machine; {LOCAL}")
    sent = [name for name in urls if name in WRITTEN.get(command, ())]
    with TemporaryDirectory(prefix="whorl-") as folder:
        for name in sent:
            ours[name] = Path(folder) / Path(urls[name]).name
        yield ours
        for name in sent:
            count = upload(Path(folder), urls[name].rpartition("/")[0])
            SPEECH.get(Speech()).wrote[urls[name]] = f"{count:,} files"
            _say(f"wrote {urls[name]}")


def _here(path: object) -> object:
    """A path of this machine for one that is a URL, with what lies beside examples."""
    from whorl.data.purpose import purpose_file
    from whorl.data.storage import fetched, url_of

    url = url_of(path) if isinstance(path, Path) else ""
    return fetched(url, beside=purpose_file(Path(url)).name) if url else path


def _say(line: str) -> None:
    from whorl.cli.display import Display

    Display().say(line)

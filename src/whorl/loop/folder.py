"""The run folder: files of a run, the settings it is bound to, and the lock of the process that
uses it."""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any

from whorl.data.atomic import replacing, unwritable
from whorl.data.lock import InUseError, take
from whorl.data.rounds import number_of, rounds_of
from whorl.errors import UserError
from whorl.learn.training import EXECUTION

_OWN = {"lock", "manifest.json", "manifest.json.partial"}
_OTHER = "another run folder"
_FREE = {f"train.{name}" for name in EXECUTION}  # how weights are computed, not which
_SAVED = "train.save_steps"  # of these checkpoints the best is taken, where some is held out
_SHOWN = 3  # differences named before "and so on"


@dataclass(frozen=True, slots=True)
class RunFolder(AbstractContextManager["RunFolder"]):
    """Files of a run, locked for this process until it is closed.

    settings: what the run was started with, as JSON gives it back.
    version: the whorl that started it.
    """

    path: Path
    settings: Mapping[str, Any]
    version: str
    _lock: FileIO | None = field(default=None, repr=False)  # None: opened for reading

    @classmethod
    def open(cls, path: Path, settings: Mapping[str, object], *, version: str) -> "RunFolder":
        """Create the folder, or open the one that is bound to these settings.

        settings: a nested mapping that JSON can hold.
        Raises `UserError` if the folder belongs to other settings, to another process or to
        something that is not a run.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            if not (path / "manifest.json").exists() and set(os.listdir(path)) - _OWN:
                raise UserError(f"{path} is not empty and not a run folder; use another one")
            lock = (path / "lock").open("a+b", buffering=0)
        except FileExistsError as error:
            raise UserError(f"{path} is a file, not a run folder; use another name") from error
        except OSError as error:
            raise unwritable(path, error) from error
        try:
            take(lock, path, _OTHER)
            if not (path / "manifest.json").exists():
                _write_manifest(path, settings, version)
            folder = cls(path, *_read_manifest(path), lock)
            _compare(path, settings, folder.settings)
        except OSError as error:
            lock.close()
            raise unwritable(path / "lock", error) from error
        except BaseException:
            lock.close()
            raise
        return folder

    @classmethod
    def join(
        cls, path: Path, settings: Mapping[str, object], *, version: str, patience: float = 5.0
    ) -> "RunFolder":
        """Open the folder as `open` does, for a process that shares it with others like it and
        writes into a folder of its own inside.

        patience: seconds for others that open it at the same time to write the manifest.
        Raises `InUseError` if a process has it alone.
        """
        end = time.monotonic() + patience
        while True:
            if not (path / "manifest.json").exists():
                with suppress(InUseError):
                    cls.open(path, settings, version=version).close()
            else:
                lock = (path / "lock").open("a+b", buffering=0)
                try:
                    take(lock, path, _OTHER, fcntl.LOCK_SH)
                    folder = cls(path, *_read_manifest(path), lock)
                    _compare(path, settings, folder.settings)
                    return folder
                except BaseException as error:
                    lock.close()
                    if not isinstance(error, InUseError) or time.monotonic() > end:
                        raise
            time.sleep(0.02)

    @classmethod
    def check(cls, path: Path, settings: Mapping[str, object]) -> None:
        """Look at the folder as `open` does, before models are loaded; nothing is written. Raises
        `UserError` if it belongs to other settings or is no run folder."""
        if (path / "manifest.json").exists():
            _compare(path, settings, _read_manifest(path)[0])
        elif path.is_dir() and set(os.listdir(path)) - _OWN:
            raise UserError(f"{path} is not empty and not a run folder; use another one")
        elif path.exists() and not path.is_dir():
            raise UserError(f"{path} is a file, not a run folder; use another name")

    @classmethod
    def read(cls, path: Path) -> "RunFolder":
        """An existing run folder, to read from, though it may be in use. Raises `UserError` if
        there is none."""
        return cls(path, *_read_manifest(path))

    def parts(self, round: int = 0) -> list[Path]:
        """The folders that hold trees: those of the rounds, in order, if there are any, else this
        one; or that of one `round`. Raises `UserError` if there is no such round."""
        rounds = rounds_of(self.path)
        if not round:
            return rounds or [self.path]
        if (one := self.path / f"round-{round}") in rounds:
            return [one]
        there = (
            f"there are {', '.join(str(number_of(path)) for path in rounds)}"
            if rounds
            else "it has none"
        )
        raise UserError(f"{self.path} has no round {round}; {there}")

    @property
    def journal(self) -> Path:
        return self.path / "journal.db"

    @property
    def trees(self) -> Path:
        return self.path / "trees.jsonl"

    @property
    def failures(self) -> Path:
        return self.path / "failures.jsonl"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def examples(self) -> Path:
        return self.path / "examples.jsonl"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    def close(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            self._lock.close()

    def __exit__(self, *error: object) -> None:
        self.close()


def _write_manifest(path: Path, settings: Mapping[str, object], version: str) -> None:
    created = datetime.now(UTC).isoformat(timespec="seconds")
    manifest = {"whorl": version, "created": created, "settings": settings}
    with replacing(path / "manifest.json") as file:
        file.write(json.dumps(manifest, indent=2).encode() + b"\n")


def _read_manifest(path: Path) -> tuple[dict[str, Any], str]:
    """Settings and version."""
    try:
        manifest = json.loads((path / "manifest.json").read_bytes())
        return dict(manifest["settings"]), str(manifest["whorl"])
    except OSError as error:
        raise UserError(f"{path} is not a run folder: manifest.json: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path / 'manifest.json'} is broken: {error!r}") from error


def _compare(path: Path, here: Mapping[str, object], there: Mapping[str, object]) -> None:
    """Raises `UserError` if `here`, the settings of this command, differ from `there`, those of the
    folder."""
    mine, theirs = dict(_leaves(json.loads(json.dumps(here)))), dict(_leaves(there))
    free = _FREE if mine.get("train.holdout", "0.0") == "0.0" else _FREE - {_SAVED}
    names = sorted(
        name for name in (mine.keys() | theirs.keys()) - free if mine.get(name) != theirs.get(name)
    )
    if not names:
        return
    unset = "not set"
    shown = [
        f"{name}: {mine.get(name, unset)} here, {theirs.get(name, unset)} in the run folder"
        for name in names[:_SHOWN]
    ]
    if len(names) > _SHOWN:
        shown.append(f"and {len(names) - _SHOWN} more")
    if mine.keys() == theirs.keys():
        advice = "use another run folder, or the settings in its manifest.json"
    else:  # a recipe, or whorl, has other settings than it had
        advice = "use another run folder; what is in this one can be shown, reported and harvested"
    raise UserError(f"{path} belongs to other settings ({'; '.join(shown)}); {advice}")


def _leaves(settings: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted names and values as JSON; an empty table counts as a value."""
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, json.dumps(value, ensure_ascii=False)

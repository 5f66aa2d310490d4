"""The shelf of a viewer: run folders, their files of trees, and evaluations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from whorl.data.rounds import rounds_of
from whorl.errors import UserError
from whorl.evaluate import Place
from whorl.loop.folder import RunFolder
from whorl.view.index import Index
from whorl.watch.events import events_of


@dataclass(frozen=True)
class Shown:
    """A run, a file of trees or an evaluation.

    name: what it is called on pages, which no other is.
    """

    path: Path
    name: str

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings it was started with; empty if none are known."""
        try:
            return RunFolder.read(self.path).settings
        except UserError:
            return {}

    @property
    def events(self) -> Path:
        return events_of(self.path)

    @property
    def rounds(self) -> list[Path]:
        """The folders that hold trees: those of the rounds, or its own, or those of a demo."""
        if self.path.is_file():
            return []
        if rounds := rounds_of(self.path):
            return rounds
        if (self.path / "trees.jsonl").exists():
            return [self.path]
        return sorted(path.parent for path in self.path.glob("*/trees.jsonl")) or [self.path]

    @cached_property
    def _indices(self) -> dict[Path, Index]:
        return {}

    @property
    def forests(self) -> dict[str, Index]:
        """The index of each file of trees, by the name of its folder; of a file, its own."""
        if self.path.is_file():
            files = {} if Place(self.path).attempts.exists() else {"trees": self.path}
        else:
            files = {folder.name: folder / "trees.jsonl" for folder in self.rounds}
        return {
            name: self._indices.setdefault(file, Index(file))
            for name, file in files.items()
            if file.exists()
        }

    @property
    def evaluations(self) -> dict[str, Place]:
        """Evaluations whose texts were kept, by name: of the test problems first, then of those
        that were held out."""
        if self.path.is_file():
            place = Place(self.path)
            return {self.path.stem: place} if place.attempts.exists() else {}
        files = [*self.path.glob("scores-*.jsonl"), *self.path.glob("held-out-*.jsonl")]
        places = {p.stem: Place(p) for p in files if p.stem.rpartition("-")[2].isdecimal()}
        places = {name: place for name, place in places.items() if place.attempts.exists()}
        return dict(sorted(places.items(), key=lambda item: _order(item[0])))


def shelf(paths: Sequence[Path]) -> list[Shown]:
    """The shelf that `paths` name. Raises `UserError` if one is nothing that can be shown."""
    found: list[Shown] = []
    for path in paths:
        if path.name.endswith(".attempts.jsonl"):
            path = path.with_name(path.name.removesuffix(".attempts.jsonl") + ".jsonl")
        if not path.exists():
            raise UserError(f"{path} does not exist; name run folders, trees or scores")
        if path.is_dir() and not _is_run(path):
            raise UserError(f"{path} is not a run folder: it has no manifest.json and no trees")
        name = path.resolve().name
        taken = {shown.name for shown in found}
        number = 2
        while name in taken:
            name, number = f"{path.resolve().name} ({number})", number + 1
        found.append(Shown(path, name))
    return found


def _is_run(path: Path) -> bool:
    return any((path / name).exists() for name in ("manifest.json", "trees.jsonl", "events.jsonl"))


def _order(name: str) -> tuple[bool, int]:
    kind, _, number = name.rpartition("-")
    return kind != "scores", int(number)

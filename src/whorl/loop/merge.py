"""Merging: the shards of a run become one run folder, the same that one process would have made."""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from whorl.data.atomic import replacing
from whorl.data.forest import Forest
from whorl.data.rounds import rounds_of
from whorl.engines.journal import Journal
from whorl.engines.repair import Tell, mend
from whorl.loop.folder import RunFolder
from whorl.loop.manifest import recipe_of
from whorl.loop.shards import Share, parts_of
from whorl.recipe import arms_of


@dataclass(frozen=True, slots=True)
class Merged:
    """Result of `merge`: the folder, how many shards went into it, trees in it, failed searches
    (key -> error), and searches that neither ended nor failed.

    unfinished: the shards that these are of, or that never began, by name.
    """

    folder: Path
    shards: int
    trees: int
    failures: Mapping[str, str]
    missing: int
    unfinished: tuple[str, ...]


def sharded(path: Path) -> list[Path]:
    """The folders of a run that have shards, or what a merge that was killed left of some: itself,
    and those of its rounds."""
    homes = ((folder, folder / "shards") for folder in (path, *rounds_of(path)))
    return [folder for folder, home in homes if parts_of(home) or left_over(home)]


def merge_run(path: Path, repair: Tell | None = None) -> Iterator[Merged]:
    """Merge the shards of a run folder and of its rounds, one folder after the other. repair: as in
    `merge`."""
    for folder in sharded(path):
        if folder == path:
            yield merge(path, repair)
        else:  # nobody may play the rounds meanwhile
            said = RunFolder.read(path)
            with RunFolder.open(path, said.settings, version=said.version):
                yield merge(folder, repair)


def merge(path: Path, repair: Tell | None = None) -> Merged:
    """Merge the shards in the run folder `path` into it, and remove them.

    Trees come in the order of the problems, and replies of all journals into one, so a search that
    a shard has begun goes on in its middle, in whatever process. May be repeated after a kill.
    repair: is told which journals were damaged and are repaired first; without it they are refused.
    Raises `UserError` if a process still grows one of the shards.
    """
    said = RunFolder.read(path)
    with RunFolder.open(path, said.settings, version=said.version) as run:
        sweep(path / "shards")
        with opened(path / "shards", run) as parts:
            mend((one.journal for one in (run, *parts)), repair)
            merged = _merged(run, parts)
        remove(path / "shards")
    return merged


@contextmanager
def opened(home: Path, like: RunFolder) -> Iterator[list[RunFolder]]:
    """The folders of all shards in `home`, each for this process alone. like: of what they are
    parts."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(RunFolder.open(part, like.settings, version=like.version))
            for part in parts_of(home)
        ]


def left_over(home: Path) -> list[Path]:
    """Shards in `home` that are merged and were being removed when the process was killed."""
    return sorted(home.glob("*-of-*.merged"))


def sweep(home: Path) -> None:
    """Remove the shards that `left_over` finds: nothing of them is needed any more."""
    for gone in left_over(home):
        shutil.rmtree(gone)


def remove(home: Path) -> None:
    """Remove the folders of shards in `home`, after a `sweep`: one that was begun anew has the name
    of the one that was merged. A shard goes as a whole or not at all."""
    for part in parts_of(home):
        part.rename(part.with_name(f"{part.name}.merged"))
    sweep(home)
    with suppress(OSError):  # something else is in it
        home.rmdir()


def absorb(journal: Path, parts: Iterable[Path]) -> None:
    """Record in a journal what those of `parts` that are there have on record."""
    with Journal(journal) as whole:
        for part in filter(Path.exists, parts):
            with Journal(part) as own:
                whole.absorb(own.answers())


def _merged(run: RunFolder, parts: Sequence[RunFolder]) -> Merged:
    absorb(run.journal, (part.journal for part in parts))
    arms = [*arms_of(recipe_of(run))]
    shares = _shares((run, *parts))
    places = {name: place for share in shares.values() for name, place in share.places.items()}
    ids = sorted(places, key=lambda name: places[name])
    with Forest(run.trees) as forest:
        for part in parts:
            if part.trees.exists():
                forest.take(part.trees)
        forest.finish((name, arm) for name in ids for arm in arms)
        trees = len(forest)
        lacking = {
            f"{name}#{arm}": name for name in ids for arm in arms if (name, arm) not in forest
        }
    failed = dict(_failures((run, *parts)))
    failures = {key: failed[key] for key in sorted(lacking.keys() & failed.keys())}
    total = max((share.problems for share in shares.values()), default=0)
    left = {name for key, name in lacking.items() if key not in failures}
    _write(run, failures, Share(total, places))
    return Merged(
        run.path,
        len(parts),
        trees,
        failures,
        len(lacking) - len(failures) + (total - len(ids)) * len(arms),
        tuple(path.name for path, share in shares.items() if left & share.places.keys()),
    )


def _shares(folders: Iterable[RunFolder]) -> dict[Path, Share]:
    """Shares of the list of problems, by folder. A shard that was killed as it began has not come
    to say its own."""
    paths = (folder.path for folder in folders)
    return {path: Share.read(path) for path in paths if (path / "share.json").exists()}


def _failures(folders: Iterable[RunFolder]) -> Iterator[tuple[str, str]]:
    for folder in folders:
        if folder.failures.exists():
            for line in folder.failures.read_text(encoding="utf-8").splitlines():
                said = json.loads(line)
                yield said["search"], said["error"]


def _write(run: RunFolder, failures: Mapping[str, str], share: Share) -> None:
    with replacing(run.failures) as file:
        for key, error in failures.items():
            file.write((json.dumps({"search": key, "error": error}) + "\n").encode())
    with replacing(run.path / "share.json") as file:
        file.write(json.dumps(asdict(share)).encode() + b"\n")

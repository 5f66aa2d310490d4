"""Shards of a run on a shared folder: each process grows one, in a folder of its own."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from whorl.data.atomic import replacing
from whorl.data.forest import Key, read_keys
from whorl.data.lock import InUseError
from whorl.data.shard import Shard
from whorl.engines.journal import Journal
from whorl.engines.repair import Tell, damaged, mend
from whorl.errors import UserError
from whorl.loop.folder import RunFolder
from whorl.loop.grow import Others
from whorl.loop.run import Run
from whorl.problem import Problem

_PATIENCE = 10.0  # seconds for others to fold the journal of a process that was killed


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a run that this process grows, or all of it.

    folder: that of the run, or of a shard its own one, `shards/3-of-16` in that of the run.
    problems: how many they are; None if nobody counted.
    others: trees of the run that are there, and journals of processes that ended.
    """

    folder: RunFolder
    shard: Shard = Shard(1, 1)  # noqa: RUF009 (frozen)
    problems: int | None = None
    others: Others = Others()  # noqa: RUF009 (frozen)

    def of(self, problems: Iterable[Problem]) -> Iterator[Problem]:
        """Problems of the run that are in this part."""
        return (problem for _, problem in self.shard.part(problems))


@contextmanager
def open_part(
    path: Path,
    settings: Mapping[str, object],
    shard: Shard | None,
    read: Callable[[], Iterable[Problem]],
    *,
    version: str,
    repair: Tell | None = None,
) -> Iterator[Part]:
    """Open a shard of the run in the folder `path` for this process, or all of it.

    settings: that the run is bound to, as for `RunFolder.open`.
    read: the problems of the whole run, in order.
    repair: is told which journals were damaged and are repaired now: its own and those that serve;
        without it they are refused.
    A run may be divided anew into another number of shards when none of the old ones is in use:
    trees that they finished are not grown again, and their replies serve. Raises `UserError` if
    another process has this shard, or a shard of another division, or the run as a whole; and, of
    all of it, if there are shards that are not merged.
    """
    if shard is None:
        refuse_parts(path, path)
        with RunFolder.open(path, settings, version=version) as run:
            mend(_journals(path), repair)
            yield Part(run)
            return
    home = path / "shards"
    with (
        shares(path, home, settings, shard, version=version, repair=repair) as (own, others),
        ExitStack() as stack,
    ):
        trees, journals = [], []
        for each in (path, *(other.path for other in others)):
            if (file := each / "trees.jsonl").exists():
                trees.append(read_keys(file))
            if (file := each / "journal.db").exists():
                journals.append(stack.enter_context(Journal(file, writes=False)))
        keys: frozenset[Key] = frozenset(chain.from_iterable(trees))
        count = write_share(own.path, shard, read())
        yield Part(own, shard, count, Others(keys, journals))


@contextmanager
def shares(
    whole: Path,
    home: Path,
    settings: Mapping[str, object],
    shard: Shard,
    *,
    version: str,
    repair: Tell | None = None,
) -> Iterator[tuple[RunFolder, list[RunFolder]]]:
    """The folder of a shard, for this process alone, and those of the shards of other divisions,
    which nobody writes to within the `with`.

    whole: the folder that all shards join; home: the folder that holds those of the shards.
    repair: as in `open_part`.
    """
    with ExitStack() as stack:
        stack.enter_context(joined(whole, settings, version, repair))
        own = stack.enter_context(RunFolder.open(home / shard.name, settings, version=version))
        mend(_journals(own.path), repair)
        # those of the same division have no problem of ours
        others = [part for part in parts_of(home) if Shard.read(part.name).of != shard.of]
        yield (
            own,
            [stack.enter_context(joined(part, settings, version, repair)) for part in others],
        )


def shard_of(run: Run, text: str) -> Shard | None:
    """The shard that a command names; None if it names none. Raises `UserError` if it is no shard,
    or if the run has a budget: shards do not know what others spend."""
    if not text:
        return None
    if limits := run.budget.run.named():
        name = next(iter(limits))
        raise UserError(
            f"budget.{name} is for a run as a whole, and shards do not know what others spend; "
            f"leave it out, or set budget.problem.{name}"
        )
    return Shard.read(text)


def parts_of(home: Path) -> list[Path]:
    """The folders of shards in the folder `home`, of whatever division, in order."""
    found: dict[Path, tuple[int, int]] = {}
    for path in home.glob("*-of-*"):
        with suppress(UserError):
            shard = Shard.read(path.name)
            found[path] = shard.of, shard.number
    return sorted(found, key=lambda path: found[path])


def refuse_parts(folder: Path, run: Path) -> None:
    """Raises `UserError` if a folder of trees has shards that are not merged: a process that knows
    nothing of them would grow their trees again. run: the folder of the whole run."""
    if parts := parts_of(folder / "shards"):
        raise UserError(
            f"{folder} has {len(parts):,} shards, which are not merged: whorl merge {run}, and the "
            "same command goes on from there; or go on in shards, with --shard"
        )


@dataclass(frozen=True, slots=True)
class Share:
    """Share of a shard in the list of problems: how many the run has, and the place in the list of
    each problem of the shard, by id."""

    problems: int
    places: Mapping[str, int]

    @classmethod
    def read(cls, folder: Path) -> "Share":
        """Inverse of `write_share`. Raises `UserError` if there is none."""
        path = folder / "share.json"
        try:
            return cls(**json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            raise UserError(f"{path} cannot be read: {error}") from error


def write_share(folder: Path, shard: Shard, problems: Iterable[Problem]) -> int:
    """Write which problems a shard has, for `merge`; returns how many. problems: of the run."""
    places: dict[str, int] = {}
    total = 0
    for place, problem in enumerate(problems):
        total += 1
        if shard.takes(place):
            places[problem.id] = place
    with replacing(folder / "share.json") as file:
        file.write(json.dumps({"problems": total, "places": places}).encode() + b"\n")
    return len(places)


def joined(
    path: Path, settings: Mapping[str, object], version: str, repair: Tell | None = None
) -> RunFolder:
    """Open a run folder that others read as well and nobody writes to. What a process that was
    killed left in the log beside its journal is folded in first. repair: as in `open_part`; of a
    damaged journal this process has the folder alone for that."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            logs = [*path.glob("*journal.db-wal")]
            if logs or (repair and any(map(damaged, _journals(path)))):
                with RunFolder.open(path, settings, version=version):
                    mend(_journals(path), repair)
                    for log in logs:
                        Journal(log.with_name(log.name.removesuffix("-wal"))).close()
            folder = RunFolder.join(path, settings, version=version)
            if not [*path.glob("*journal.db-wal")]:
                return folder
            folder.close()
        except InUseError:
            if time.monotonic() > end:
                raise
            time.sleep(_PATIENCE / 100)


def _journals(folder: Path) -> list[Path]:
    """The journals of a folder: of its trees, or of evaluations in it."""
    return [*folder.glob("*journal.db")]

"""Shards of an evaluation on a shared folder, and merging them into one file of scores."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whorl import __version__
from whorl.data.atomic import replacing
from whorl.data.content import content
from whorl.data.lock import held
from whorl.data.problems import read_problems
from whorl.data.shard import Shard
from whorl.engines.journal import Journal
from whorl.engines.repair import Tell, mend
from whorl.errors import UserError
from whorl.evaluate import Place, Record, Score, read_records, read_scores, score_of
from whorl.evaluate.exam import Part
from whorl.evaluate.scores import record_line
from whorl.loop.folder import RunFolder
from whorl.loop.merge import absorb, opened, remove, sweep
from whorl.loop.shards import parts_of, shares


@dataclass(frozen=True, slots=True)
class MergedExam:
    """Result of `merge_exam`: the scores, if all problems have theirs, and how many have none;
    unfinished: the shards that did not end, by name."""

    scores: Sequence[Score]
    missing: int
    unfinished: tuple[str, ...]


def home_of(out: Path) -> Path:
    """The folder of an evaluation's shards, beside its file of scores."""
    return out.with_name(f"{out.name.removesuffix('.jsonl')}.shards")


@contextmanager
def whole_exam(out: Path) -> Iterator[None]:
    """Context of the evaluation that goes to `out` without shards, which this process has alone.
    Raises `UserError` if another one has it, if it has shards that are not merged, or if new scores
    should not be called so."""
    Place(out).check_name()
    if parts_of(home_of(out)) and not out.exists():
        raise UserError(
            f"{out} has shards, which are not merged: whorl merge {out}; or go on "
            "in shards, with --shard"
        )
    with held(out):
        yield


@contextmanager
def open_exam_part(
    out: Path, shard: Shard, repair: Tell | None = None
) -> Iterator[tuple[Path, Part]]:
    """The file of scores of a shard of the evaluation that goes to `out`, and the part of the exam
    that is left for it.

    An evaluation may be divided anew as a run may, and its journals are repaired as those of one
    are (`loop.shards`). Raises `UserError` if another process has this shard, or one of another
    division.
    """
    if out.exists():
        raise UserError(f"{out} is there already; choose another --out, or delete it")
    with held(out):
        pass  # nobody attempts all of it
    home = home_of(out)
    if not home.exists():
        Place(out).check_name()
    share = shares(home, home, _bound(out), shard, version=__version__, repair=repair)
    with share as (own, others):
        done: set[str] = set()
        journals: list[Journal] = []
        try:
            for place in (_place(other.path) for other in others):
                if place.scores.exists():
                    done |= {one.problem.id for one in _whole(place)}
                if place.journal.exists():
                    journals.append(Journal(place.journal, writes=False))
            yield _place(own.path).scores, Part(shard, done, journals)
        finally:
            for journal in journals:
                journal.close()


def merge_exam(out: Path, repair: Tell | None = None) -> MergedExam:
    """Merge the shards of an evaluation into the file of scores `out` and those beside it, and
    remove the shards; as long as problems are missing, nothing is written and none is removed.

    May be repeated after a kill: scores that are written are whole, and what is left of the shards
    is merely removed. repair: is told which of their journals were damaged and are repaired first.
    Raises `UserError` if there are no shards, or a process still has one.
    """
    home = home_of(out)
    if not parts_of(home) and not (home.is_dir() and out.exists()):
        raise UserError(f"{out} has no shards; whorl evaluate --shard makes them")
    with held(out), RunFolder.open(home, _bound(out), version=__version__) as whole:
        sweep(home)
        with opened(home, whole) as parts:
            places = [_place(part.path) for part in parts]
            mend([Place(out).journal, *(place.journal for place in places)], repair)
            merged = _written(out, places) or _merged(out, places)
        if not merged.missing:
            remove(home)
            with suppress(OSError):  # as where files that are open cannot go
                for name in ("lock", "manifest.json"):
                    (home / name).unlink()
                home.rmdir()
    return merged


def _written(out: Path, parts: Sequence[Place]) -> MergedExam | None:
    """Scores that an earlier call wrote to `out` of the evaluation of `parts`; None if it came to
    write none. Scores are the last that is written, and only where no problem is missing."""
    place = Place(out)
    if not place.scores.exists():
        return None
    ours = _binding(place.said())
    if any(_binding(part.said()) != ours for part in parts if part.setup.exists()):
        return None
    scores = read_scores(place.scores)
    place.end(scores)  # the journal of a whole evaluation before may be there yet
    return MergedExam(scores, 0, ())


def _merged(out: Path, parts: Sequence[Place]) -> MergedExam:
    begun = [part for part in parts if part.setup.exists()]
    if not begun:
        raise UserError(f"no shard of {out} has begun")
    place, said = Place(out), begun[0].said()
    problems = Path(said["about"]["problems"])
    order = [problem.id for problem in read_problems(problems)]
    if content(problems) != said["problems"]:
        raise UserError(f"{problems} has changed since shards of {out} were attempted; put it back")
    found: dict[str, Record] = {}
    for part in begun:
        if _binding(part.said()) != _binding(said):
            raise UserError(f"{part.scores} is of another evaluation than {begun[0].scores}")
        if part.scores.exists():
            for record in read_records(part.attempts):
                if record.problem.id not in found or not record.error:
                    found[record.problem.id] = record
    missing = sum(name not in found for name in order)
    unfinished = tuple(part.scores.parent.name for part in parts if not part.scores.exists())
    if missing:
        return MergedExam((), missing, unfinished)
    place.begin(said)
    if any(record.error for record in found.values()):  # they are asked again from the journal
        absorb(place.journal, (part.journal for part in begun))
    with replacing(place.attempts) as file:
        for name in order:
            file.write(record_line(found[name]))
    scores = [score_of(found[name]) for name in order]
    place.end(scores)
    return MergedExam(scores, 0, ())


def _bound(out: Path) -> dict[str, object]:
    return {"shards of": out.name}


def _binding(said: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of an evaluation that make a difference."""
    return {name: value for name, value in said.items() if name != "about"}


def _place(folder: Path) -> Place:
    return Place(folder / "scores.jsonl")


def _whole(place: Place) -> Iterator[Record]:
    """Records of problems that need not be attempted again."""
    return (record for record in read_records(place.attempts) if not record.error)

"""Attempts at held-out problems, beside those of an earlier model, and their texts."""

import threading
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from whorl.errors import UserError
from whorl.evaluate import Place, Record, Score, read_records
from whorl.evaluate.scores import score_of
from whorl.view.shelf import Shown

SHOWN = 100  # problems on a page

KINDS = {
    "": "all problems",
    "fixed": "fixed",
    "broken": "broken",
    "right": "right",
    "wrong": "wrong",
    "undecided": "undecided",
    "failed": "failed",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A problem of an evaluation, the so many-th. before: its score in the one that it is compared
    with."""

    number: int
    score: Score
    question: str
    before: Score | None

    @property
    def change(self) -> str:
        """`fixed` or `broken`, by the first attempts; empty if neither."""
        if self.before is None or not self.before.right or not self.score.right:
            return ""
        was, now = self.before.right[0] == 1.0, self.score.right[0] == 1.0
        return "" if was == now else "fixed" if now else "broken"

    def fits(self, kind: str) -> bool:
        """Whether a filter of `KINDS` lets it through."""
        if kind in ("fixed", "broken"):
            return self.change == kind
        if kind == "failed":
            return bool(self.score.error)
        first = self.score.right[:1]
        wanted = {"right": (1.0,), "wrong": (0.0,), "undecided": (None,)}.get(kind)
        return wanted is None or first == wanted


class Evaluations:
    """Evaluations that were read, by file; one that changed is read again."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[str, dict[str, tuple[Score, str]]]] = {}
        self._lock = threading.Lock()

    def lines(self, place: Place, before: Place | None) -> list[Line]:
        """The problems of an evaluation, in its order. One of the same id in the other is compared
        if it asks the same: ids that are line numbers are those of many sets."""
        then = self._scores(before) if before else {}
        return [
            Line(number, score, question, was if asked == question else None)
            for number, (id, (score, question)) in enumerate(self._scores(place).items())
            for was, asked in [then.get(id, (None, ""))]
        ]

    def _scores(self, place: Place) -> dict[str, tuple[Score, str]]:
        try:
            stat = place.attempts.stat()
        except OSError:
            return {}
        stamp = f"{stat.st_ino} {stat.st_size} {stat.st_mtime_ns}"
        with self._lock:
            known = self._known.get(place.attempts)
            if known is None or known[0] != stamp:
                found = {
                    record.problem.id: (score_of(record), record.problem.question[:300])
                    for record in read_records(place.attempts)
                }
                known = self._known[place.attempts] = (stamp, found)
        return known[1]


def record_of(place: Place, id: str) -> Record | None:
    """The attempts at a problem; None if there are none."""
    try:
        return next((r for r in read_records(place.attempts) if r.problem.id == id), None)
    except UserError:
        return None


def records_of(place: Place, ids: Collection[str]) -> dict[str, Record]:
    """The attempts at these problems, in one pass over the file; those that there are."""
    try:
        found = (record for record in read_records(place.attempts) if record.problem.id in ids)
        return {record.problem.id: record for record in found}
    except UserError:
        return {}


def usual_against(shown: Shown, name: str) -> str:
    """The evaluation of a run that another of the same problems is compared with, if no other is
    named: the first of its kind, as `RUN/NAME`; empty if it is that one."""
    kind = name.rpartition("-")[0]
    first = next((n for n in shown.evaluations if n.rpartition("-")[0] == kind), name)
    return "" if first == name else f"{shown.name}/{first}"

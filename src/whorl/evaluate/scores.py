"""An evaluation on disk: a line of scores per problem, and beside it the texts of the attempts."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from whorl.data.atomic import replacing, unwritable
from whorl.errors import UserError
from whorl.evaluate.attempts import Attempt, Record
from whorl.problem import Problem

VERDICTS: Mapping[str, float | None] = {"right": 1.0, "wrong": 0.0, "undecided": None}
"""Outcomes of a solution by what they are called."""


def verdict(outcome: float | None) -> str:
    """An outcome as a word."""
    return "undecided" if outcome is None else "right" if outcome == 1.0 else "wrong"


@dataclass(frozen=True, slots=True)
class Score:
    """Judgements of the attempts at one problem.

    right: by attempt: 1.0, 0.0, or None where the judge could not decide.
    answers: by attempt: the final answer as it was stated, None if there was none. Its unit is part
        of what is counted in votes.
    cut: attempts that ran into `max_tokens`.
    error: why the problem could not be attempted; then there are no attempts.
    """

    id: str
    level: str
    right: tuple[float | None, ...]
    answers: tuple[str | None, ...]
    cut: int = 0
    error: str = ""
    subject: str = ""


def score_of(record: Record) -> Score:
    """The score of a record: its texts are left out."""
    return Score(
        record.problem.id,
        record.problem.level,
        tuple(attempt.right for attempt in record.attempts),
        tuple(attempt.answer for attempt in record.attempts),
        cut=sum(attempt.finished == "length" for attempt in record.attempts),
        error=record.error,
        subject=record.problem.subject,
    )


def write_scores(path: Path, scores: Iterable[Score]) -> int:
    """Write one line of JSON per problem, sorted by id, so that equal scores make equal files;
    returns the number of lines. The file appears when it is complete."""
    ordered = sorted(scores, key=lambda score: score.id)
    with replacing(path) as file:
        for each in ordered:
            file.write(json.dumps(asdict(each), separators=(",", ":")).encode() + b"\n")
    return len(ordered)


def read_scores(path: Path) -> list[Score]:
    """Inverse of `write_scores`. Raises `UserError` with file and line number at a bad line."""
    scores = []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                scores.append(_read_score(line, f"{path}:{number}"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    return scores


def _read_score(line: bytes, where: str) -> Score:
    try:
        row = json.loads(line)
        row["right"], row["answers"] = tuple(row["right"]), tuple(row["answers"])
        found = Score(**row)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{where}: not a line of scores") from error
    if not all(right in (0.0, 1.0, None) for right in found.right):
        raise UserError(f"{where}: right must be 1, 0 or null for each attempt")
    return found


def record_line(record: Record) -> bytes:
    """A record as a line of JSON for people: the problem, then each text with its verdict."""
    shown = [
        {
            "verdict": verdict(attempt.right),
            "answer": attempt.answer,
            "reason": attempt.reason,
            "text": attempt.text,
            "finished": attempt.finished,
            "tokens": attempt.tokens,
        }
        for attempt in record.attempts
    ]
    row: dict[str, object] = {
        name: value for name, value in record.problem.record().items() if value
    }
    row |= {"attempts": shown} | ({"error": record.error} if record.error else {})
    return json.dumps(row, separators=(",", ":")).encode() + b"\n"


def write_records(path: Path, records: Iterable[Record]) -> list[Score]:
    """Write records and return their scores; texts are not held in memory. The file appears when it
    is complete."""
    scores = []
    with replacing(path) as file:
        for record in records:
            file.write(record_line(record))
            scores.append(score_of(record))
    return scores


def in_order(records: Iterable[Record], ids: Iterable[str]) -> Iterator[Record]:
    """Records sorted by `ids`, each yielded as soon as all before it have come."""
    early: dict[str | None, Record] = {}
    rest = iter(ids)
    wanted = next(rest, None)
    for record in records:
        early[record.problem.id] = record
        while wanted in early:
            yield early.pop(wanted)
            wanted = next(rest, None)


def read_records(path: Path) -> Iterator[Record]:
    """Inverse of `record_line`, line by line. Raises `UserError` at a line that is no record."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    row = json.loads(line)
                    told, error = row.pop("attempts"), row.pop("error", "")
                    attempts = (
                        Attempt(right=VERDICTS[each.pop("verdict")], **each) for each in told
                    )
                    yield Record(Problem(**row), tuple(attempts), error)
                except (ValueError, KeyError, TypeError, AttributeError) as fault:
                    raise UserError(f"{path}:{number}: not a record of attempts") from fault
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class Place:
    """Files of an evaluation: its scores, and beside them `NAME.attempts.jsonl` with every text,
    `NAME.setup.json` with its settings, `NAME.events.jsonl` of its making and, until it is
    complete, `NAME.journal.db`."""

    scores: Path

    @property
    def attempts(self) -> Path:
        return self._beside("attempts.jsonl")

    @property
    def events(self) -> Path:
        return self._beside("events.jsonl")

    @property
    def setup(self) -> Path:
        return self._beside("setup.json")

    @property
    def journal(self) -> Path:
        return self._beside("journal.db")

    @property
    def complete(self) -> bool:
        """Whether every problem has a score that no error stands for."""
        return self.scores.exists() and not self.journal.exists()

    def _twin(self) -> Path:
        """The file of scores that would have the same files beside it."""
        name, ending = self.scores.name, ".jsonl"
        bare = name.removesuffix(ending)
        return self.scores.with_name(bare if bare != name else name + ending)

    def _beside(self, ending: str) -> Path:
        name = self.scores.name
        return self.scores.with_name(f"{name.removesuffix('.jsonl')}.{ending}")

    def check_name(self) -> None:
        """Raises `UserError` if new scores should not be called so: those of `s` and of `s.jsonl`
        would share the files beside them. What earlier versions wrote under any name goes on."""
        name = self.scores.name
        if self.scores.exists():
            return
        if not name.endswith(".jsonl"):
            there = self.journal.exists()
            on = "; it goes on with what was asked so far" if there else ""
            raise UserError(f"scores are a .jsonl file; give --out {self.scores}.jsonl{on}")
        if name.endswith((".attempts.jsonl", ".events.jsonl")):
            raise UserError(
                f"{self.scores} is what texts or events of other scores are called; choose "
                "another --out"
            )

    def begin(self, identity: Mapping[str, Any]) -> bool:
        """Bind the files to the settings of this evaluation; returns whether it is complete
        already.

        identity: what JSON can hold; what it holds under `about` makes no difference.
        An evaluation in which problems failed is not complete: they are asked again. Raises
        `UserError` if another evaluation lies here, finished or not.
        """
        twin = self._twin()
        if not self.scores.exists() and twin.is_file() and self.attempts.exists():
            raise UserError(f"{self.attempts} is of the scores {twin}; choose another --out")
        if paid := next(filter(Path.exists, (self.scores, self.journal)), None):
            if not self.setup.exists():
                raise UserError(
                    f"{paid} exists and is of no evaluation that is known; choose another --out"
                )
            if different := _differences(identity, self.said()):
                raise UserError(
                    f"{paid} is of another evaluation ({different}); choose another --out, or "
                    "delete it"
                )
            return self.complete
        with replacing(self.setup) as file:
            file.write(json.dumps(identity, indent=2).encode() + b"\n")
        return False

    def said(self) -> dict[str, Any]:
        """The settings that `begin` was given; empty if unknown."""
        try:
            found = json.loads(self.setup.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise UserError(f"{self.setup} cannot be read: {error}") from error
        return found if isinstance(found, dict) else {}

    def end(self, scores: Iterable[Score]) -> None:
        """Write the scores; the journal goes, unless something is left to be asked again."""
        kept = list(scores)
        write_scores(self.scores, kept)
        if not any(each.error for each in kept):
            try:
                for ending in ("", "-wal", "-shm"):
                    with suppress(FileNotFoundError):
                        self.journal.with_name(self.journal.name + ending).unlink()
            except OSError as error:
                raise unwritable(self.journal, error) from error


def _differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    mine, there = ({k: v for k, v in _flat(said) if k != "about"} for said in (ours, theirs))
    return ", ".join(
        f"{name}: {mine.get(name)} here, {there.get(name)} there"
        for name in dict.fromkeys((*mine, *there))
        if mine.get(name) != there.get(name)
    )


def _flat(said: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in said.items():
        if isinstance(value, dict) and name != "about":
            yield from _flat(value, f"{above}{name}.")
        else:
            yield above + name, value

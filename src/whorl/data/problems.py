"""Problems on disk: one JSON object per line, `.jsonl` or `.jsonl.gz`, read and written as streams.

CSV, TSV and Parquet files are read as well. Fields: `question` (or `problem`); `answer`, text or
number; optional `id`, `source`, `split`, `level`, `subject`, `check`. Without `id` a problem is
called `FILE:LINE`. The files of GSM8K and MATH as published read as they are: an answer after
`####`, or no answer but a `solution` with a `\\boxed{}`.
"""

import gzip
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, TypeVar

from whorl.answer import LONGEST, gold_in, parsable
from whorl.answer.checks import ANSWER, fault
from whorl.data.atomic import replacing
from whorl.data.rows import BadRow, NoColumn, Row, cell, columns, read_rows
from whorl.errors import UserError
from whorl.problem import Problem

FIELDS = ("id", "question", "answer", "source", "split", "level", "subject", "check")

OnSkip = Callable[[int, str], None]
"""Told the number of a line that holds no problem, and why."""

T = TypeVar("T")


def read_problems(
    path: Path | str,
    *,
    fields: Mapping[str, str] | None = None,
    skip_bad: bool = False,
    on_skip: OnSkip | None = None,
) -> Iterator[Problem]:
    """The problems of a file in its order; blank lines count but hold none.

    fields: one of `FIELDS` -> the column that holds it. An answer named so may be a solution: what
    counts is what stands after its last `####`, else its last box or what it states as the answer,
    else all of it, if that is an answer: prose that states none is a bad line.

    Raises UserError at the first bad line, with its number; with `skip_bad` such lines go to
    `on_skip(line number, reason)` instead, and it is raised only if no problem is left.
    Memory: 16 bytes and a set's overhead per problem, to find ids that occur twice.
    """
    path = Path(path)

    def read(number: int, row: Row) -> Problem:
        return _problem(_renamed(row, fields or {}), default_id=f"{_stem(path)}:{number}")

    return collect(read_rows(path), read, where=f"{path}", skip_bad=skip_bad, on_skip=on_skip)


def problem_ids(path: Path | str) -> list[str]:
    """Ids of the problems of a file, every line of which is read: for who is about to open a model
    for them. Raises as `read_problems`."""
    return [problem.id for problem in read_problems(path)]


def collect(
    rows: Iterable[tuple[int, T | BadRow]],
    read: Callable[[int, T], Problem],
    *,
    where: str,
    skip_bad: bool = False,
    on_skip: OnSkip | None = None,
) -> Iterator[Problem]:
    """The problems that `read` makes of numbered rows; raises as `read_problems` does.

    where: what the rows are of, for messages.
    """
    seen: set[bytes] = set()
    skipped, first = 0, ""
    for number, row in rows:
        try:
            if isinstance(row, BadRow):
                raise row
            problem = read(number, row)
            name = hashlib.blake2b(problem.id.encode(), digest_size=16).digest()
            if name in seen:
                raise BadRow(f"the id {problem.id!r} occurs twice")
        except BadRow as bad:
            if not skip_bad:
                advice = (
                    "mend it, or leave such lines out: "
                    f"whorl problems --from {where} --skip-bad --out problems.jsonl"
                )
                if isinstance(bad, NoColumn):
                    advice = (
                        f"say which columns they are: whorl problems --from {where} "
                        "--map question=COLUMN,answer=COLUMN --out problems.jsonl"
                    )
                raise UserError(f"{where}, line {number}: {bad}; {advice}") from None
            skipped, first = skipped + 1, first or f"line {number}: {bad}"
            if on_skip is not None:
                on_skip(number, str(bad))
            continue
        seen.add(name)
        yield problem
    if not seen:
        why = f"all {skipped} lines are bad, the first: {first}" if skipped else "it is empty"
        raise UserError(f"{where} holds no problem ({why})")


def distinct(problems: Iterable[Problem]) -> Iterator[Problem]:
    """The problems, unchanged. Raises `UserError` at an id that came before: whatever is kept of a
    problem is known by its id."""
    seen: set[str] = set()
    for problem in problems:
        if problem.id in seen:
            raise UserError(
                f"two problems have the id {problem.id!r}; give each an id of its own, or leave "
                "one out"
            )
        seen.add(problem.id)
        yield problem


def write_problems(path: Path | str, problems: Iterable[Problem]) -> int:
    """Write problems so that `read_problems` returns equal ones; returns their number. The file
    appears whole or not at all; `UserError` if it cannot be written."""
    path = Path(path)
    if path.name.removesuffix(".gz").endswith((".csv", ".tsv", ".parquet")):
        raise UserError(f"{path}: problems are written as .jsonl, or .jsonl.gz")
    count = 0
    with replacing(path) as raw:
        # No time stamp and no name inside: equal problems give equal bytes.
        packed = gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if path.suffix == ".gz" else None
        file: IO[bytes] = packed or raw  # type: ignore[assignment]
        for problem in problems:
            file.write(json.dumps(problem.record(), ensure_ascii=False).encode() + b"\n")
            count += 1
        if packed is not None:
            packed.close()
    return count


def _stem(path: Path) -> str:
    name = path.name.removesuffix(".gz")
    for ending in (".jsonl", ".csv", ".tsv", ".parquet"):
        name = name.removesuffix(ending)
    return name


def _renamed(row: Row, fields: Mapping[str, str]) -> Row:
    """The row with columns renamed to our names, as `fields` says."""
    renamed = dict(row)
    for field, column in fields.items():
        if column not in row:
            raise NoColumn(f"no column {column!r}; there are {columns(row)}")
        renamed[field] = row[column]
    if "answer" in fields:
        text = cell(renamed, "answer")
        renamed["answer"] = gold_in(text) or ""
        if text and not renamed["answer"]:
            raise BadRow(f"no answer is stated in {text[:60]!r}")
    return renamed


def _problem(row: Row, *, default_id: str) -> Problem:
    """The problem of one row. Raises `BadRow`."""
    question = cell(row, "question") or cell(row, "problem")
    if not question:
        bad = BadRow if {"question", "problem"} & row.keys() else NoColumn
        raise bad(f'no question (field "question" or "problem"; there are {columns(row)})')
    check = cell(row, "check") or ANSWER
    answer = comparable_answer(_answer(row)) if check == ANSWER else cell(row, "answer")
    if why := fault(check, answer):
        raise BadRow(why)
    return Problem(
        id=cell(row, "id") or default_id,
        question=question,
        answer=answer,
        source=cell(row, "source"),
        split=cell(row, "split"),
        level=cell(row, "level"),
        subject=cell(row, "subject"),
        check=check,
    )


def _answer(row: Row) -> str:
    answer = _stated(cell(row, "answer"))
    if not answer:
        solution = cell(row, "solution")
        if _MARKED.search(solution):
            answer = gold_in(solution) or ""
    if not answer:
        raise BadRow('no answer (field "answer", or a "solution" with a \\boxed{})')
    return answer


def _stated(text: str) -> str:
    """The gold answer in a column of answers: what the text states as its answer, else the text,
    which is words on purpose: public sets have sentences there ("There is no solution")."""
    if _MARKED.search(text):
        return gold_in(text) or ""
    return (gold_in(text) or text) if _STATES.search(text) else text


_MARKED = re.compile(r"####|\\boxed")
_STATES = re.compile(r"answer|答案", re.IGNORECASE)


def comparable_answer(answer: str) -> str:
    """The answer, if other answers can be compared with it. Raises `BadRow`."""
    if not parsable(answer):
        size = f"{len(answer)} characters, {LONGEST} at most" if len(answer) > LONGEST else answer
        raise BadRow(f"the answer cannot be parsed ({size[:60]})")
    return answer

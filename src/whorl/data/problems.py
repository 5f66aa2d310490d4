"""Problems on disk: one JSON object per line, `.jsonl` or `.jsonl.gz`, read and written as streams.

Fields: `question` (or `problem`); `answer`, text or number; optional `id`, `source`, `split`,
`level`. Without `id` a problem is called `FILE:LINE`. The files of GSM8K and MATH as published
read as they are: an answer after `####`, or no answer but a `solution` with a `\\boxed{}`.
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, NoReturn

from whorl.answer import LONGEST, extract, parsable
from whorl.data.atomic import replacing
from whorl.errors import UserError
from whorl.problem import Problem


class _Bad(Exception):
    """Why a line is no problem, in a few words."""


def read_problems(
    path: Path | str,
    *,
    skip_bad: bool = False,
    on_skip: Callable[[int, str], None] | None = None,
) -> Iterator[Problem]:
    """The problems of a file in its order; blank lines count but hold none.

    Raises UserError at the first bad line, with its number; with `skip_bad` such lines go to
    `on_skip(line number, reason)` instead, and it is raised only if no problem is left.
    Memory: 16 bytes and a set's overhead per problem, to find ids that occur twice.
    """
    path = Path(path)
    seen: set[bytes] = set()
    skipped, first = 0, ""
    for number, line in _lines(path):
        try:
            problem = _problem(line, default_id=f"{_stem(path)}:{number}")
            name = hashlib.blake2b(problem.id.encode(), digest_size=16).digest()
            if name in seen:
                raise _Bad(f"the id {problem.id!r} occurs twice")
        except _Bad as bad:
            if not skip_bad:
                raise UserError(
                    f"{path}, line {number}: {bad}; mend it or leave such lines out (--skip-bad)"
                ) from None
            skipped, first = skipped + 1, first or f"line {number}: {bad}"
            if on_skip is not None:
                on_skip(number, str(bad))
            continue
        seen.add(name)
        yield problem
    if not seen:
        why = f"all {skipped} lines are bad, the first: {first}" if skipped else "it is empty"
        raise UserError(f"{path} holds no problem ({why}); one JSON object per line is expected")


def write_problems(path: Path | str, problems: Iterable[Problem]) -> int:
    """Write problems so that `read_problems` returns them equal; the number written. The file
    appears whole or not at all; `UserError` if it cannot be written."""
    path = Path(path)
    count = 0
    with replacing(path) as raw:
        # No time stamp and no name inside: equal problems give equal bytes.
        packed = gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if path.suffix == ".gz" else None
        file: IO[bytes] = packed or raw  # type: ignore[assignment]
        for problem in problems:
            file.write(json.dumps(asdict(problem), ensure_ascii=False).encode() + b"\n")
            count += 1
        if packed is not None:
            packed.close()
    return count


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                if text.strip():
                    yield number, text
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder; name a .jsonl or .jsonl.gz file in it") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path} is not a whole gzip file: {error}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".jsonl")


def _problem(line: bytes, *, default_id: str) -> Problem:
    """The problem of one line; raises `_Bad`."""
    record = _record(line)
    question = _text(record, "question") or _text(record, "problem")
    if not question:
        raise _Bad('no question (field "question" or "problem")')
    return Problem(
        id=_text(record, "id") or default_id,
        question=question,
        answer=_answer(record),
        source=_text(record, "source"),
        split=_text(record, "split"),
        level=_text(record, "level"),
    )


def _record(line: bytes) -> dict[str, Any]:
    def no_number(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    try:
        # Numbers stay as they are written: 0.10 keeps its zero and no integer is too long.
        record = json.loads(line.decode(), parse_int=str, parse_float=str, parse_constant=no_number)
    except UnicodeDecodeError as error:
        raise _Bad(f"not UTF-8 at byte {error.start + 1}") from None
    except json.JSONDecodeError as error:
        raise _Bad(f"broken JSON at column {error.colno} ({error.msg})") from None
    except (ValueError, RecursionError) as error:
        raise _Bad(f"broken JSON ({error})") from None
    if not isinstance(record, dict):
        raise _Bad("not a JSON object")
    return record


def _text(record: dict[str, Any], name: str) -> str:
    """A field that holds text or a number; empty if it is missing or null."""
    value = record.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _Bad(f"{name!r} is neither text nor a number")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _Bad(f"{name!r} holds half a surrogate pair") from None
    return value.strip()


def _answer(record: dict[str, Any]) -> str:
    answer = _text(record, "answer")
    if "####" in answer:
        answer = answer.rpartition("####")[2].strip()
    if not answer:
        solution = _text(record, "solution")
        if "####" in solution:
            answer = solution.rpartition("####")[2].strip()
        elif "boxed" in solution:
            answer = extract(solution) or ""
    if not answer:
        raise _Bad('no answer (field "answer", or a "solution" with a \\boxed{})')
    if not parsable(answer):
        size = f"{len(answer)} characters, {LONGEST} at most" if len(answer) > LONGEST else answer
        raise _Bad(f"the answer cannot be parsed ({size[:60]})")
    return answer

"""Rows of a file, read as a stream: JSON lines, or by its ending CSV, TSV or Parquet.

Text files may be gzipped. Cells stay as they are written where the form allows it: in text files
0.10 keeps its zero. Parquet needs pyarrow, which comes with `whorl[hub]`. A few megabytes of a file
can stand for gigabytes: what a row may take is limited, and looked at before it is taken.
"""

import csv
import gzip
import json
import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

from whorl.errors import UserError

Row = dict[str, Any]

LONGEST = 16 << 20
"""Bytes of a row of a text file, at most."""

_GROUP = 1 << 30  # bytes of a row group of Parquet, unpacked
_BATCH = 64  # rows of Parquet that are unpacked at once


class BadRow(Exception):
    """Raised for a row that is no problem; the message says why in a few words."""


class NoColumn(BadRow):
    """Raised where a row lacks a column that every problem needs."""


def read_rows(path: Path) -> Iterator[tuple[int, Row | BadRow]]:
    """The rows of a file in its order, each with its number, or with the error in its place.

    Numbers count from 1: lines of a text file, on which the row starts, or rows of Parquet. Blank
    lines count but hold no row. Raises `UserError` if the file as a whole cannot be read.
    """
    name = path.name.removesuffix(".gz")
    try:
        if name.endswith((".csv", ".tsv")):
            yield from _separated(path, "\t" if name.endswith(".tsv") else "")
        elif name.endswith(".parquet"):
            yield from _parquet(path)
        else:
            yield from _json_lines(path)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder; name a .jsonl or .jsonl.gz file in it") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path} is not a whole gzip file: {error}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None


def cell(row: Row, column: str) -> str:
    """A cell of text or a number, as text; empty if it is missing, null or no number.

    A float without a fraction is written as an integer. Raises `BadRow` at anything else.
    """
    value = row.get(column)
    if isinstance(value, float):
        value = "" if value != value else repr(int(value) if value.is_integer() else value)
    elif isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadRow(f"{column!r} is neither text nor a number")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadRow(f"{column!r} holds half a surrogate pair") from None
    return value.strip()


def columns(row: Row) -> str:
    """Names of the columns of a row, for a message."""
    names = ", ".join(map(str, row))
    return names if len(names) <= 200 else names[:200] + " ..."


def _binary_lines(path: Path) -> Iterator[bytes]:
    with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as file:
        number = 0
        while line := file.readline(LONGEST + 1):
            number += 1
            _check_length(path, number, len(line))
            if number == 1:
                _check_text(path, line)
                line = line.removeprefix(b"\xef\xbb\xbf")
            yield line


def _check_text(path: Path, line: bytes) -> None:
    """Raises `UserError` if a file begins as no text in UTF-8 does: a spreadsheet, or UTF-16."""
    if line.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError(f"{path} is text in UTF-16; save it as UTF-8")
    if b"\0" in line or line.startswith(b"PK\x03\x04"):
        raise UserError(f"{path} is no text; save it as CSV in UTF-8, JSON lines or Parquet")


def _check_length(path: Path, number: int, length: int) -> None:
    """Raises `UserError` if a row, up to a line, is longer than any should be."""
    if length > LONGEST:
        raise UserError(
            f"{path}, line {number}: a row of more than {LONGEST >> 20} MiB; is it one?"
        )


def _json_lines(path: Path) -> Iterator[tuple[int, Row | BadRow]]:
    for number, line in enumerate(_binary_lines(path), start=1):
        if line.strip():
            try:
                yield number, _record(line)
            except BadRow as bad:
                yield number, bad


def _record(line: bytes) -> Row:
    def no_number(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    try:
        # Numbers stay as they are written: 0.10 keeps its zero and no integer is too long.
        record = json.loads(line.decode(), parse_int=str, parse_float=str, parse_constant=no_number)
    except UnicodeDecodeError as error:
        raise BadRow(f"not UTF-8 at byte {error.start + 1}") from None
    except json.JSONDecodeError as error:
        raise BadRow(f"broken JSON at column {error.colno} ({error.msg})") from None
    except (ValueError, RecursionError) as error:
        raise BadRow(f"broken JSON ({error})") from None
    if not isinstance(record, dict):
        hint = ", but a list; write its objects one a line" if isinstance(record, list) else ""
        raise BadRow(f"not a JSON object{hint}")
    return record


def _separated(path: Path, delimiter: str) -> Iterator[tuple[int, Row | BadRow]]:
    """Rows of CSV or TSV. A row may span lines, so text that is not UTF-8 is found in the row, not
    in the line.

    delimiter: empty if the first line is to tell: a semicolon, as spreadsheets of many countries
        write, if it holds one and no comma.
    """
    length = 0  # of the row so far

    def lines() -> Iterator[str]:
        nonlocal length
        for number, line in enumerate(_binary_lines(path), start=1):
            length += len(line)
            _check_length(path, number, length)
            yield line.decode(errors="surrogateescape")

    read = lines()
    first = next(read, "")
    sign = delimiter or (";" if ";" in first and "," not in first else ",")
    reader = csv.reader(chain([first] if first else [], read), delimiter=sign)
    header: list[str] | None = None
    while True:
        number, length = reader.line_num + 1, 0
        try:
            row = next(reader, None)
        except csv.Error as error:
            yield number, BadRow(f"broken CSV ({error})")
            continue
        if row is None:
            return
        if header is None:
            header = [name.strip() for name in row]
        elif row:
            yield number, _named(row, header)


def _named(row: list[str], header: list[str]) -> Row | BadRow:
    if len(row) != len(header):
        return BadRow(f"{len(row)} fields, and there are {len(header)} columns")
    if any("\udc80" <= character <= "\udcff" for field in row for character in field):
        return BadRow("not UTF-8; save the file as UTF-8")
    return dict(zip(header, row, strict=True))


def _parquet(path: Path) -> Iterator[tuple[int, Row | BadRow]]:
    try:
        from pyarrow import ArrowInvalid  # type: ignore[import-untyped]
        from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]
    except ImportError:
        raise UserError(f"{path}: to read Parquet, pip install 'whorl[hub]'") from None
    with path.open("rb") as raw:
        try:
            file = ParquetFile(raw)
            for group in range(file.num_row_groups):
                if file.metadata.row_group(group).total_byte_size > _GROUP:
                    raise UserError(
                        f"{path}: a row group of more than {_GROUP >> 30} GiB; write the file with "
                        "smaller ones"
                    )
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
        except ArrowInvalid as error:
            raise UserError(f"{path} is not a whole Parquet file: {error}") from None


def count_lines(path: Path) -> int:
    """Lines of a file that are not blank; 0 if there is none."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        return sum(not line.isspace() for line in file)

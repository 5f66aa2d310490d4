"""Examples as JSON lines, in TRL's conversational columns: prompt, completion (+ weight).

A row with `prefix` continues an assistant's turn, which TRL's columns cannot say: other trainers
must add it to the prompt themselves.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from whorl.ask import Prompt
from whorl.data.atomic import replacing
from whorl.errors import UserError
from whorl.example import Weighted


def write_examples(path: Path, examples: Iterable[Weighted]) -> int:
    """Write one line per example and return how many. The file appears when it is complete."""
    count = 0
    with replacing(path) as file:
        for example in examples:
            file.write(_line(example) + b"\n")
            count += 1
    return count


def read_examples(path: Path) -> Iterator[Weighted]:
    """Inverse of `write_examples`, one line at a time. Blank lines are passed over.

    Raises `UserError` with file and line number at a line that is not an example.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.isspace():
                    yield _read_line(line, f"{path}:{number}")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def _line(example: Weighted) -> bytes:
    """`prefix`, `ended` and `origin` are ours and left out where they hold their default."""
    prompt = example.prompt
    messages = [{"role": "user", "content": prompt.user}]
    if prompt.system:
        messages.insert(0, {"role": "system", "content": prompt.system})
    row: dict[str, Any] = {
        "prompt": messages,
        "completion": [{"role": "assistant", "content": example.text}],
        "weight": example.weight,
    }
    if prompt.prefix:
        row["prefix"] = prompt.prefix
    if not example.ended:
        row["ended"] = False
    if example.origin:
        row["origin"] = example.origin
    return json.dumps(row, allow_nan=False, separators=(",", ":")).encode()


def _read_line(line: bytes, where: str) -> Weighted:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UserError(f"{where}: not a line of JSON ({error})") from error
    if not isinstance(row, dict):
        raise UserError(f"{where}: expected an object with the columns prompt and completion")
    unknown = row.keys() - _COLUMNS
    if unknown:
        raise UserError(f"{where}: unknown column {min(unknown)!r}; known: {', '.join(_COLUMNS)}")
    *system, user = _contents(row, "prompt", (["user"], ["system", "user"]), where)
    (text,) = _contents(row, "completion", (["assistant"],), where)
    weight = row.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not _finite(weight):
        raise UserError(f"{where}: weight must be a finite number, not {weight!r}")
    prefix, origin, ended = row.get("prefix", ""), row.get("origin", ""), row.get("ended", True)
    if not isinstance(prefix, str) or not isinstance(origin, str) or not isinstance(ended, bool):
        raise UserError(f"{where}: prefix and origin must be text, ended true or false")
    return Weighted(Prompt("".join(system), user, prefix), text, float(weight), ended, origin)


_COLUMNS = ("prompt", "completion", "weight", "prefix", "ended", "origin")


def _contents(
    row: dict[str, Any], column: str, allowed: tuple[list[str], ...], where: str
) -> list[str]:
    """The contents of a column's messages, whose roles must be one of `allowed`."""
    messages = row.get(column)
    try:
        roles = [message["role"] for message in messages]  # type: ignore[union-attr]
        contents = [message["content"] for message in messages]  # type: ignore[union-attr]
    except (TypeError, KeyError):
        roles, contents = [], []
    if roles not in allowed or not all(isinstance(content, str) for content in contents):
        wanted = " or ".join(" + ".join(roles) for roles in allowed)
        raise UserError(f"{where}: {column} must be a list of messages: {wanted}")
    return contents


def _finite(number: float) -> bool:
    return abs(number) <= sys.float_info.max  # also False for NaN and integers beyond a float

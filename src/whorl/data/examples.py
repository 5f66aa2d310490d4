"""Examples as JSON lines, in TRL's conversational columns: prompt, completion (+ weight) or
prompt, chosen, rejected.

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
from whorl.example import Example, Pair, Weighted


def write_examples(path: Path, examples: Iterable[Example], *, every: bool = False) -> int:
    """Write one line per example; returns the number of lines. The file appears when it is
    complete.

    every: write all columns in every row, for readers that go by the first rows.
    """
    count = 0
    with replacing(path) as file:
        for example in examples:
            file.write(_line(example, every) + b"\n")
            count += 1
    return count


def read_examples(path: Path) -> Iterator[Example]:
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


def _line(example: Example, every: bool) -> bytes:
    """An example as a row; `prefix`, `origin` and the end, which are our columns, are left out
    where they hold their default, unless `every` column is wanted."""
    prompt = example.prompt
    messages = [{"role": "user", "content": prompt.user}]
    if prompt.system:
        messages.insert(0, {"role": "system", "content": prompt.system})
    row: dict[str, Any] = {"prompt": messages}
    if isinstance(example, Pair):
        row |= {"chosen": _turn(example.chosen), "rejected": _turn(example.rejected)}
        ours = {
            "chosen_ended": example.chosen_ended,
            "rejected_ended": example.rejected_ended,
        }
    else:
        row |= {"completion": _turn(example.text), "weight": example.weight}
        ours = {"ended": example.ended}
        row |= {"taught": example.taught} if example.taught else {}
    row |= {name: ended for name, ended in ours.items() if every or not ended}
    texts = {"prefix": prompt.prefix, "origin": example.origin}
    row |= {name: text for name, text in texts.items() if every or text}
    return json.dumps(row, allow_nan=False, separators=(",", ":")).encode()


def _turn(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def _read_line(line: bytes, where: str) -> Example:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UserError(f"{where}: not a line of JSON ({error})") from error
    if not isinstance(row, dict):
        raise UserError(
            f"{where}: expected an object with the columns prompt and completion, "
            "or prompt, chosen and rejected"
        )
    columns = _PAIR if "chosen" in row or "rejected" in row else _WEIGHTED
    unknown = row.keys() - columns
    if unknown:
        raise UserError(f"{where}: unknown column {min(unknown)!r}; known: {', '.join(columns)}")
    *system, user = _contents(row, "prompt", (["user"], ["system", "user"]), where)
    prefix, origin = row.get("prefix", ""), row.get("origin", "")
    ended = {name: row.get(name, True) for name in columns if name.endswith("ended")}
    if not isinstance(prefix, str) or not isinstance(origin, str):
        raise UserError(f"{where}: prefix and origin must be text")
    if not all(isinstance(value, bool) for value in ended.values()):
        raise UserError(f"{where}: {' and '.join(ended)} must be true or false")
    prompt = Prompt("".join(system), user, prefix)
    if columns is _PAIR:
        (chosen,) = _contents(row, "chosen", (["assistant"],), where)
        (rejected,) = _contents(row, "rejected", (["assistant"],), where)
        return Pair(prompt, chosen, rejected, **ended, origin=origin)
    (text,) = _contents(row, "completion", (["assistant"],), where)
    weight = row.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not _finite(weight):
        raise UserError(f"{where}: weight must be a finite number, not {weight!r}")
    taught = row.get("taught", [])
    if not isinstance(taught, list) or not all(
        isinstance(each, int | float) and _finite(each) for each in taught
    ):
        raise UserError(f"{where}: taught must be a list of finite numbers")
    return Weighted(prompt, text, float(weight), **ended, origin=origin, taught=tuple(taught))


_WEIGHTED = ("prompt", "completion", "weight", "prefix", "ended", "origin", "taught")
_PAIR = ("prompt", "chosen", "rejected", "prefix", "chosen_ended", "rejected_ended", "origin")


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

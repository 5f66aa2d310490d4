"""`whorl judge`."""

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from whorl.cli import options

if TYPE_CHECKING:
    from whorl.cli.display import Display
    from whorl.data.rows import Row

EXAMPLES = (
    "whorl judge pairs.jsonl",
    "whorl judge pairs.jsonl --json --set units=required --set tolerance=1e-3",
    "whorl judge pairs.jsonl --guess --workers 2",
)
VERDICTS = {1.0: "right", 0.0: "wrong", None: "undecided"}
SHOWN = 40  # characters of an answer in a table


class _Pair(NamedTuple):
    line: int
    id: str
    gold: str
    answer: str | None


def judge(  # noqa: PLR0913 (each parameter is an option)
    pairs: Annotated[Path, typer.Argument(metavar="PAIRS", help="File, .jsonl or .jsonl.gz.")],
    guess: Annotated[
        bool,
        typer.Option("--guess", help="Where no answer is stated, take the last formula or number."),
    ] = False,
    overrides: options.Overrides = None,
    deadline: Annotated[float, typer.Option(min=0.01, help="Seconds for one verdict.")] = 2.0,
    workers: Annotated[int, typer.Option(min=1, help="Processes that do algebra.")] = 1,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Pass over bad lines.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Judge answers: right, wrong or undecided, and why.

    Each line of the file is an object with a gold answer, "gold", and a
    "prediction": an answer, or a text that states one in a \\boxed{} or after
    "answer is". An "id" is repeated. Undecided is not right.

    What counts as the same answer is changed with --set: percent, units,
    lists, intervals, assignments, choices, tolerance. See docs/verdicts.md.
    """
    from whorl.answer import USUAL
    from whorl.cli.display import Display
    from whorl.engines.judge import Judges
    from whorl.settings import read_settings

    display = Display()
    judges = Judges(workers, deadline, read_settings(USUAL, overrides or ()))
    read = _read(pairs, guess, display if skip_bad else None)
    counts: Counter[str] = Counter()
    try:
        for pair, (value, reason, seconds) in zip(
            read, judges.judge((pair.gold, pair.answer) for pair in read), strict=True
        ):
            verdict = VERDICTS[value]
            counts[verdict] += 1
            if as_json:
                said = {
                    "line": pair.line,
                    **({"id": pair.id} if pair.id else {}),
                    "verdict": verdict,
                    "answer": pair.answer,
                    "reason": reason,
                    "seconds": round(seconds, 6),
                }
                typer.echo(json.dumps(said))
            else:
                answer = "-" if pair.answer is None else " ".join(pair.answer.split())
                name = " ".join(pair.id.split()) or str(pair.line)
                typer.echo(f"{name}  {verdict:<9}  {answer[:SHOWN]:<{SHOWN}}  {reason}")
    finally:
        judges.close()
    told = ", ".join(f"{counts[verdict]:,} {verdict}" for verdict in VERDICTS.values())
    display.say(f"{told}, of {len(read):,}")


def _read(path: Path, guess: bool, passing_over: "Display | None") -> list[_Pair]:
    from whorl.data.rows import BadRow, read_rows
    from whorl.errors import UserError

    found = []
    for number, row in read_rows(path):
        try:
            if isinstance(row, BadRow):
                raise row
            found.append(_pair(number, row, guess))
        except BadRow as bad:
            if passing_over is None:
                raise UserError(f"{path}, line {number}: {bad}") from None
            passing_over.say(f"passed over line {number}: {bad}")
    if not found:
        raise UserError(f"{path} holds no pair")
    return found


def _pair(number: int, row: "Row", guess: bool) -> _Pair:
    from whorl.answer import gold_in, read
    from whorl.data.rows import BadRow, cell, columns

    for column in ("gold", "prediction"):
        if column not in row:
            raise BadRow(f"no {column!r} among {columns(row)}")
    gold = cell(row, "gold")
    if not gold:
        raise BadRow("'gold' is empty")
    stated = gold_in(gold)
    if stated is None:
        raise BadRow(f"no answer is stated in the gold {gold[:60]!r}")
    gold = stated
    return _Pair(number, cell(row, "id"), gold, read(cell(row, "prediction"), gold, guess=guess))

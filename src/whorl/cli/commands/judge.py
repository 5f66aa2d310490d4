"""`whorl judge`."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from whorl.cli import options

if TYPE_CHECKING:
    from whorl.cli.display import Display
    from whorl.data.rows import Row
    from whorl.engines.judge import Judges

EXAMPLES = (
    "whorl judge pairs.jsonl",
    "whorl judge pairs.jsonl --json --set units=required --set tolerance=1e-3",
    "whorl judge pairs.jsonl --guess --workers 2",
)
SHOWN = 40  # characters of an answer in a table


class _Pair(NamedTuple):
    line: int
    id: str
    gold: str
    answer: str | None
    check: str


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
    "answer is". An "id" is repeated. Undecided is not right. A "check" names
    what makes the answer right, as in a file of problems: countdown, say.

    What counts as the same answer is changed with --set: percent, units,
    lists, intervals, assignments, choices, tolerance,
    vectors, decimals. See docs/verdicts.md.
    """
    from whorl.answer import USUAL
    from whorl.cli.display import Display
    from whorl.engines.judge import Judges
    from whorl.evaluate.scores import VERDICTS, verdict
    from whorl.settings import read_settings

    display = Display()
    judges = Judges(workers, deadline, read_settings(USUAL, overrides or ()))
    read = _read(pairs, guess, display if skip_bad else None)
    counts: Counter[str] = Counter()
    try:
        for pair, (value, reason, seconds) in _verdicts(read, judges):
            word = verdict(value)
            counts[word] += 1
            if as_json:
                said = {
                    "line": pair.line,
                    **({"id": pair.id} if pair.id else {}),
                    "verdict": word,
                    "answer": pair.answer,
                    "reason": reason,
                    "seconds": round(seconds, 6),
                }
                typer.echo(json.dumps(said))
            else:
                answer = "-" if pair.answer is None else " ".join(pair.answer.split())
                name = " ".join(pair.id.split()) or str(pair.line)
                typer.echo(f"{name}  {word:<9}  {answer[:SHOWN]:<{SHOWN}}  {reason}")
    finally:
        judges.close()
    told = ", ".join(f"{counts[word]:,} {word}" for word in VERDICTS)
    display.say(f"{told}, of {len(read):,}")


def _verdicts(
    pairs: Sequence[_Pair], judges: "Judges"
) -> Iterator[tuple[_Pair, tuple[float | None, str, float]]]:
    """Each pair with the value of its verdict, the reason and the seconds it took."""
    from whorl.answer.checks import ANSWER, CHECKS

    compared = judges.judge((p.gold, p.answer) for p in pairs if p.check == ANSWER)
    for pair in pairs:
        if pair.check == ANSWER:
            yield pair, next(compared)
        elif pair.answer is None:
            yield pair, (0.0, "no final answer", 0.0)
        else:
            start = time.perf_counter()
            found = CHECKS[pair.check](pair.gold, pair.answer)
            value = None if found.right is None else float(found.right)
            yield pair, (value, found.reason, time.perf_counter() - start)


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
    from whorl.answer.checks import ANSWER, fault
    from whorl.data.rows import BadRow, cell, columns

    for column in ("gold", "prediction"):
        if column not in row:
            raise BadRow(f"no {column!r} among {columns(row)}")
    gold = cell(row, "gold")
    if not gold:
        raise BadRow("'gold' is empty")
    name, check, said = cell(row, "id"), cell(row, "check") or ANSWER, cell(row, "prediction")
    if check != ANSWER:
        if found := fault(check, gold):
            raise BadRow(found)
        return _Pair(number, name, gold, read(said, gold, guess=guess), check)
    stated = gold_in(gold)
    if stated is None:
        raise BadRow(f"no answer is stated in the gold {gold[:60]!r}")
    return _Pair(number, name, stated, read(said, stated, guess=guess), check)

"""`whorl table`."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whorl.cli.cells import csv_cell, latex_cell, markdown_cell, plain

if TYPE_CHECKING:
    from whorl.evaluate import Rate, Score

EXAMPLES = (
    "whorl table before.jsonl after.jsonl",
    "whorl table --measure maj@4 --format latex 'policy,pool=scores.jsonl'",
    "whorl table --format csv --out all.csv before.jsonl after.jsonl",
)


@dataclass(frozen=True, slots=True)
class _Cell:
    """One evaluation in the table: model, benchmark, settings and scores."""

    file: Path
    model: str
    benchmark: str
    said: Mapping[str, Any]
    scores: "Sequence[Score]"

    @property
    def seen(self) -> bool:
        """Whether the model was trained on some of the questions."""
        return bool(self.said.get("about", {}).get("trained_on"))

    @property
    def protocol(self) -> dict[str, Any]:
        setup = self.said.get("setup", {})
        decoding = setup.get("decoding", {})
        return {
            "prompt": setup.get("template", ""),
            "samples": max((len(score.right) for score in self.scores), default=0),
            **{name: decoding.get(name, "") for name in ("temperature", "top_p", "max_tokens")},
            "seed": self.said.get("seed", ""),
        }


def table(
    scores: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODEL,BENCHMARK=]FILE...",
            help="Scores that `whorl evaluate` wrote. Without names they are taken from what was "
            "evaluated.",
            show_default=False,
        ),
    ],
    measure: Annotated[str, typer.Option(help="pass@K or maj@K; pass@1 is the mean.")] = "pass@1",
    form: Annotated[str, typer.Option("--format", help="markdown, latex or csv.")] = "markdown",
    out: Annotated[
        Path | None, typer.Option(help="File to write instead of printing.", show_default=False)
    ] = None,
) -> None:
    """Put evaluations of many models on many benchmarks side by side.

    A row per model and a column per benchmark, with 95 % intervals, and the
    mean over benchmarks where a model has them all. csv has a row per
    evaluation and measure instead, with the protocol. A dagger marks figures
    on questions that the model was trained on.
    """
    from whorl.cli.display import Display
    from whorl.cli.given import given
    from whorl.data.atomic import replacing
    from whorl.errors import UserError

    if form not in FORMS:
        raise UserError(f"there is no format {form!r}; there are {', '.join(FORMS)}")
    if form == "csv" and given("measure"):
        raise UserError("csv has a row for each measure; leave out --measure")
    cells = _named([_read(argument) for argument in scores])
    _check(cells)
    text = FORMS[form](cells, measure)
    if out is None:
        typer.echo(text, nl=False)
        return
    with replacing(out) as file:
        file.write(text.encode())
    Display().wrote(out, f"{len(cells):,} evaluations")


def _read(argument: str) -> _Cell:
    from whorl.errors import UserError
    from whorl.evaluate import Place, read_scores

    names, file = _parted(argument)
    if not file.is_file():
        raise UserError(f"there is no file {file}; `whorl evaluate --out {file}` writes one")
    said = Place(file).said()
    model, comma, benchmark = names.partition(",")
    if names and not (model and comma and benchmark):
        raise UserError(f"{argument!r}: MODEL,BENCHMARK=FILE is expected")
    if not names and not said:
        raise UserError(f"how {file} was made is not known; name it: MODEL,BENCHMARK={file}")
    return _Cell(file, model, benchmark, said, read_scores(file))


def _parted(argument: str) -> tuple[str, Path]:
    """The names in an argument and its file. Either may hold `=`, as folders called by their
    settings do: it is parted where a file follows, and nowhere if the whole of it is one."""
    whole = Path(argument)
    if whole.is_file():
        return "", whole
    signs = [place for place, character in enumerate(argument) if character == "="]
    ways = [(argument[:place], Path(argument[place + 1 :])) for place in signs]
    there = [way for way in ways if way[1].is_file()]
    named = [way for way in ways if "," in way[0]]
    return next(iter(there + named), ("", whole))


def _named(cells: Sequence[_Cell]) -> list[_Cell]:
    """The evaluations with a name for each model that has none: the shortest ends of paths that
    differ."""
    from dataclasses import replace

    def about(cell: _Cell, what: str) -> str:
        name = str(cell.said.get("about", {}).get(what, cell.file))
        if served := re.search(r"[?&]model=([^&]+)", name):
            return served[1]
        return re.sub(r"^[a-z]+:|\?.*$|\.jsonl(\.gz)?$", "", name).rstrip("/")

    models = _shortened({about(cell, "model") for cell in cells if not cell.model})
    sets = _shortened({about(cell, "problems") for cell in cells if not cell.model})
    return [
        cell
        if cell.model
        else replace(
            cell, model=models[about(cell, "model")], benchmark=sets[about(cell, "problems")]
        )
        for cell in cells
    ]


def _shortened(paths: Iterable[str]) -> dict[str, str]:
    parts = {path: path.split("/") for path in paths}
    most = max(map(len, parts.values()), default=0)
    for length in range(1, most + 1):
        ends = {path: "/".join(own[-length:]) for path, own in parts.items()}
        if len(set(ends.values())) == len(ends):
            return ends
    return {path: path for path in parts}


def _check(cells: Sequence[_Cell]) -> None:
    """Raises `UserError` if two evaluations belong in one cell, or a column has unlike problems."""
    from whorl.errors import UserError
    from whorl.evaluate.alike import Asked, check_alike

    places: dict[tuple[str, str], _Cell] = {}
    columns: dict[str, _Cell] = {}
    for cell in cells:
        twin = places.setdefault((cell.model, cell.benchmark), cell)
        if twin is not cell:
            raise UserError(
                f"{twin.file} and {cell.file} are both {cell.model} on {cell.benchmark}; name "
                "them: MODEL,BENCHMARK=FILE"
            )
        first = columns.setdefault(cell.benchmark, cell)
        if {score.id for score in first.scores} != {score.id for score in cell.scores}:
            raise UserError(
                f"{first.file} and {cell.file} are not of the same problems, and both are "
                f"{cell.benchmark}; name them: MODEL,BENCHMARK=FILE"
            )
        if cell is not first:
            check_alike(Asked.of_scores(first.file), Asked.of_scores(cell.file))


def _values(cell: _Cell, measure: str) -> list[float]:
    from whorl.errors import UserError
    from whorl.evaluate.measures import elections, pass_at_each

    found = re.fullmatch(r"(pass|maj)@([1-9]\d*)", measure)
    if not found:
        raise UserError(f"there is no measure {measure!r}; write pass@K or maj@K, e.g. pass@1")
    k = int(found[2])
    return pass_at_each(cell.scores, k) if found[1] == "pass" else elections(cell.scores, [k])[k]


def _grid(
    cells: Sequence[_Cell], measure: str, write: "Callable[[Rate, bool], str]"
) -> list[list[str]]:
    """The header and one row per model, in the order in which they were named."""
    from whorl.evaluate import macro_rate
    from whorl.evaluate.intervals import mean_rate

    models = list(dict.fromkeys(cell.model for cell in cells))
    sets = list(dict.fromkeys(cell.benchmark for cell in cells))
    rows = [["model", *sets, *(["mean"] if len(sets) > 1 else [])]]
    for model in models:
        own = {cell.benchmark: cell for cell in cells if cell.model == model}
        values = {name: _values(cell, measure) for name, cell in own.items()}
        row = [
            write(mean_rate(values[name]), own[name].seen) if name in own else "" for name in sets
        ]
        if len(sets) > 1:
            whole = len(own) == len(sets)
            seen = any(cell.seen for cell in cells if cell.model == model)
            row.append(write(macro_rate([values[name] for name in sets]), seen) if whole else "")
        rows.append([model, *row])
    return rows


def _notes(cells: Sequence[_Cell], measure: str) -> list[str]:
    """Lines below the table: the measure and the protocols."""
    by_protocol: dict[str, list[str]] = {}
    for cell in cells:
        known = {name: value for name, value in cell.protocol.items() if value != ""}
        words = ", ".join(f"{name} {value}" for name, value in known.items())
        by_protocol.setdefault(words, []).append(f"{cell.model} on {cell.benchmark}")
    notes = [f"{measure} in %, with 95 % intervals"]
    if len(by_protocol) == 1:
        notes += by_protocol
    else:
        notes += [f"{'; '.join(whose)}: {words}" for words, whose in by_protocol.items()]
    if any(cell.seen for cell in cells):
        notes.append("† trained on some of these questions: says nothing of others")
    return notes


def _markdown(cells: Sequence[_Cell], measure: str) -> str:
    def write(rate: "Rate", seen: bool) -> str:
        return f"{100 * rate.value:.1f}{'†' * seen} ({100 * rate.low:.1f} to {100 * rate.high:.1f})"

    grid = _grid(cells, measure, write)
    header, *rows = [list(map(markdown_cell, row)) for row in grid]
    lines = [f"| {' | '.join(header)} |", f"| --- |{' ---: |' * (len(header) - 1)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    notes = (f"{markdown_cell(note)}." for note in _notes(cells, measure))
    return "\n".join([*lines, "", *notes]) + "\n"


def _latex(cells: Sequence[_Cell], measure: str) -> str:
    """The table in LaTeX, for the package booktabs."""

    def write(rate: "Rate", seen: bool) -> str:
        mark = r"$^\dagger$" if seen else ""
        return (
            rf"{100 * rate.value:.1f}{mark} {{\scriptsize [{100 * rate.low:.1f}, "
            rf"{100 * rate.high:.1f}]}}"
        )

    grid = _grid(cells, measure, write)
    header = [latex_cell(name) for name in grid[0]]
    rows = [[latex_cell(row[0]), *row[1:]] for row in grid[1:]]
    lines = [
        *(f"% {plain(note)}" for note in _notes(cells, measure)),
        rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
        r"\toprule",
        *(" & ".join(row) + r" \\" for row in [header]),
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _csv(cells: Sequence[_Cell], measure: str) -> str:
    """The table as CSV: a row per evaluation and measure, of all k that there are attempts for."""
    from whorl.evaluate import sensible_ks, summarise

    rows: list[dict[str, Any]] = []
    for cell in cells:
        protocol = cell.protocol
        summary = summarise(cell.scores, ks=sensible_ks(protocol["samples"]))
        rates = {f"pass@{k}": rate for k, rate in summary.passed.items()}
        rates |= {f"maj@{k}": rate for k, rate in summary.majority.items()}
        about = {"problems": summary.problems, **protocol}
        about["trained_on"] = cell.said.get("about", {}).get("trained_on", "")
        for name, rate in rates.items():
            value = {"value": rate.value, "low": rate.low, "high": rate.high}
            whose = {"model": cell.model, "benchmark": cell.benchmark, "measure": name}
            rows.append(whose | value | about)
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {
                key: csv_cell(value) if isinstance(value, str) else value
                for key, value in row.items()
            }
        )
    return text.getvalue()


FORMS: dict[str, Callable[[Sequence[_Cell], str], str]] = {
    "markdown": _markdown,
    "latex": _latex,
    "csv": _csv,
}

"""`whorl problems`."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from whorl.cli import options
from whorl.errors import UserError

if TYPE_CHECKING:
    from whorl.data.contamination import Known
    from whorl.data.selection import Dropped
    from whorl.problem import Problem

    Filter = Callable[[Iterator[Problem]], Iterator[Problem]]

EXAMPLES = (
    "whorl problems --split pool -n 500 --out pool.jsonl",
    "whorl problems --from math --split train --against math500 --against gsm8k --out math.jsonl",
    "whorl problems --from mine.csv --map question=problem,answer=solution --out mine.jsonl",
    "whorl problems --from pool.jsonl --scores scores.jsonl --pass-rate 0.1:0.9 --out some.jsonl",
)

MADE_UP = 500
ENDING = ".dropped.jsonl"
SHOWN = 5  # reasons why rows are no problems


def problems(  # noqa: PLR0913 (each parameter is an option)
    out: Annotated[Path, typer.Option(help="File to write.", show_default=False)],
    source: Annotated[
        str,
        typer.Option(
            "--from", help="Data set or file (.jsonl, .csv, .parquet). Without it: made up."
        ),
    ] = "",
    split: Annotated[
        str,
        typer.Option(
            help="Made up: test, dev, pool or pretrain. Data sets: train, dev or test.",
            show_default="pool; train",
        ),
    ] = "",
    n: Annotated[
        int | None,
        typer.Option("-n", "--n", min=1, help="How many.", show_default="500; all"),
    ] = None,
    levels: Annotated[
        list[str] | None,
        typer.Option(
            "--level",
            help="Made up: 1 easy to 5 hard. Data sets: theirs. May be repeated; all if not given.",
        ),
    ] = None,
    seed: options.Seed = 0,
    at: Annotated[
        Path | None,
        typer.Option(
            help="Folder with copies: NAME/SPLIT.jsonl, or clones of the hub's repositories.",
            show_default=False,
        ),
    ] = None,
    columns: Annotated[
        str,
        typer.Option("--map", metavar="FIELD=COLUMN,...", help="Columns of a file: question, ..."),
    ] = "",
    skip_bad: options.SkipBad = False,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|NAME[:SPLIT]",
            help="Drop what shares 13 words in a row with this test set; may be repeated.",
        ),
    ] = None,
    overlap: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, help="For --against: the least share of a problem that is shared."
        ),
    ] = 0.0,
    near_duplicates: Annotated[
        bool,
        typer.Option("--near-duplicates", help="Drop what nearly repeats an earlier problem."),
    ] = False,
    scores: Annotated[
        Path | None,
        typer.Option(help="File of scores that `whorl evaluate` wrote.", show_default=False),
    ] = None,
    pass_rate: Annotated[
        str,
        typer.Option(metavar="LOW:HIGH", help="Keep what --scores has right this often."),
    ] = "",
) -> None:
    """Make up problems, or load and filter a data set.

    Made up: arithmetic with known answers. The split pool is for growing
    trees, test and dev are for measuring, and splits never share a problem;
    pretrain is what the shipped models were trained on.

    Data sets: gsm8k, math, math500, collegemath, deepmind_mathematics,
    olympiadbench_math, theoremqa, aime, aime24, aime25, amc, amc23, svamp,
    mawps, aqua, numinamath, metamath, omnimath, bigmath. They come from the
    Hugging Face Hub (pip install 'whorl\\[hub]'), or from a folder (--at).

    What a filter drops is listed, with the reason, in OUT.dropped.jsonl.
    With -n, problems are drawn by lot after all filters.
    """
    from whorl.cli.display import Display
    from whorl.data.problems import write_problems
    from whorl.data.selection import sample, write_dropped

    display = Display()
    noted = _Noted()
    if source:
        found = _loaded(source, split, at, columns, skip_bad, noted)
        found = _of_levels(found, levels) if levels else found
    else:
        if columns or skip_bad or (at and not against):
            raise UserError(
                "--map, --skip-bad and --at are for a file or a data set; name it with --from"
            )
        found = _made_up(split or "pool", n or MADE_UP, levels, seed)
    filters = _filters(against or (), overlap, at, scores, pass_rate, near_duplicates, noted)
    for each in filters:
        found = each(found)
    if source and n:
        found = iter(sample(found, n, seed=seed))
    written = write_problems(out, _some(found, noted))
    for line in noted.lines():
        display.say(line)
    if filters:
        listing = out.with_name(out.name.removesuffix(".gz").removesuffix(".jsonl") + ENDING)
        count = write_dropped(listing, noted.dropped)
        display.wrote(listing, f"{count:,} problems that were dropped, and why")
    display.wrote(out, f"{written:,} problems of {source or 'the split ' + (split or 'pool')}")


@dataclass(slots=True)
class _Noted:
    """What a person is told at the end.

    rows: rows that are no problems: why -> how many, and the first of them.
    """

    test: list[str] = field(default_factory=list)
    rows: dict[str, tuple[int, int]] = field(default_factory=dict)
    dropped: list["Dropped"] = field(default_factory=list)

    def row(self, number: int, why: str) -> None:
        count, first = self.rows.get(why, (0, number))
        self.rows[why] = count + 1, first

    def lines(self) -> Iterator[str]:
        yield from self.test
        rows = sorted(self.rows.items(), key=lambda row: (-row[1][0], row[1][1]))
        for why, (count, first) in rows[:SHOWN]:
            yield f"no problem: {why}: {count:,}, the first in line {first:,}"
        if len(rows) > SHOWN:
            yield f"no problem: other reasons: {sum(c for _, (c, _) in rows[SHOWN:]):,}"
        for why, count in sorted(Counter(each.why for each in self.dropped).items()):
            yield f"dropped: {why}: {count:,}"


def _filters(  # noqa: PLR0913 (each parameter is an option)
    against: Sequence[str],
    overlap: float,
    at: Path | None,
    scores: Path | None,
    pass_rate: str,
    near_duplicates: bool,
    noted: _Noted,
) -> list["Filter"]:
    """What drops problems, in the order in which it does. Test sets and scores are read first."""
    from whorl.data.contamination import decontaminated
    from whorl.data.duplicates import distinct
    from whorl.data.selection import solved_sometimes

    filters: list[Filter] = []
    drop = noted.dropped.append
    if bool(scores) != bool(pass_rate):
        raise UserError("--scores and --pass-rate go together, e.g. --pass-rate 0.1:0.9")
    if overlap and not against:
        raise UserError("--overlap is for --against, which names a test set")
    if against:
        known = _known(against, at, noted)
        filters.append(lambda found: decontaminated(found, known, overlap=overlap, on_drop=drop))
    if scores:
        (low, high), rates = _bounds(pass_rate), _rates(scores)
        filters.append(lambda found: solved_sometimes(found, rates, low, high, on_drop=drop))
    if near_duplicates:
        filters.append(lambda found: distinct(found, on_drop=drop))
    return filters


def _known(against: Sequence[str], at: Path | None, noted: _Noted) -> "Known":
    """The wording of all test sets together."""
    from whorl.data.contamination import Known
    from whorl.data.hub import load
    from whorl.data.problems import read_problems

    known = Known()
    for test in against:
        before, bad = known.problems, _Noted()
        name, _, split = test.partition(":")
        known.add(
            read_problems(test, skip_bad=True, on_skip=bad.row)
            if _is_file(test)
            else load(name, split=split or "test", at=at, on_skip=bad.row)
        )
        lost = sum(count for count, _ in bad.rows.values())
        more = f"; {lost:,} lines of it are no problems and were not compared" if lost else ""
        noted.test.append(f"compared with {test}: {known.problems - before:,} problems{more}")
    return known


def _bounds(pass_rate: str) -> tuple[float, float]:
    try:
        low, high = (float(bound) for bound in pass_rate.split(":"))
    except ValueError:
        low, high = 1.0, 0.0
    if not 0 <= low <= high <= 1:
        raise UserError(f"--pass-rate {pass_rate}: two shares are expected, e.g. 0.1:0.9")
    return low, high


def _rates(scores: Path) -> dict[str, float]:
    """Problem id -> the share of its attempts that are right. Problems without attempts are not
    in it."""
    from whorl.evaluate import read_scores

    return {
        score.id: score.right.count(1.0) / len(score.right)
        for score in read_scores(scores)
        if score.right
    }


def _loaded(
    source: str, split: str, at: Path | None, columns: str, skip_bad: bool, noted: _Noted
) -> Iterator["Problem"]:
    from whorl.data.hub import load
    from whorl.data.problems import read_problems

    if _is_file(source):
        if split or at:
            raise UserError(f"--split and --at are for data sets, and {source} is a file")
        fields = _fields(columns)
        return read_problems(source, fields=fields, skip_bad=skip_bad, on_skip=noted.row)
    if columns or skip_bad:
        raise UserError(f"--map and --skip-bad are for files, and {source} is a data set")
    return load(source, split=split, at=at, on_skip=noted.row)


def _is_file(source: str) -> bool:
    """A name of a data set has neither a folder nor an ending."""
    return "." in source or "/" in source or "\\" in source or Path(source).is_file()


def _fields(columns: str) -> dict[str, str]:
    from whorl.data.problems import FIELDS

    fields = {}
    for pair in filter(None, columns.split(",")):
        name, _, column = (part.strip() for part in pair.partition("="))
        if name not in FIELDS or not column:
            raise UserError(f"--map {pair}: FIELD=COLUMN is expected; fields: {', '.join(FIELDS)}")
        fields[name] = column
    return fields


def _of_levels(found: Iterator["Problem"], levels: Sequence[str]) -> Iterator["Problem"]:
    """The problems of these levels. Raises `UserError` if there are none."""
    others: set[str] = set()
    some = False
    for problem in found:
        if problem.level in levels:
            some = True
            yield problem
        else:
            others.add(problem.level)
    if not some:
        there = ", ".join(sorted(filter(None, others))[:20]) or "none"
        raise UserError(f"no problems of level {', '.join(levels)}; levels: {there}")


def _made_up(split: str, n: int, levels: Sequence[str] | None, seed: int) -> Iterator["Problem"]:
    from whorl.data import synthetic
    from whorl.data.families import LEVELS

    if split not in get_args(synthetic.Split):
        raise UserError(f"no split {split!r}; there are {', '.join(get_args(synthetic.Split))}")
    try:
        chosen = [int(level) for level in levels] if levels else LEVELS
    except ValueError:
        raise UserError(f"levels are numbers from 1 to {LEVELS[-1]}") from None
    return synthetic.problems(cast("synthetic.Split", split), n, seed=seed, levels=chosen)


def _some(found: Iterator["Problem"], noted: _Noted) -> Iterator["Problem"]:
    """The problems. Raises `UserError` if there are none, so that no empty file is left."""
    first = next(found, None)
    if first is None:
        raise UserError("; ".join(("no problem is left", *noted.lines())))
    yield first
    yield from found

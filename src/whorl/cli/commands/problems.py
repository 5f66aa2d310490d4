"""`whorl problems`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from whorl.cli import options
from whorl.cli.filters import Noted, filters_of, is_file
from whorl.cli.given import given
from whorl.errors import UserError

if TYPE_CHECKING:
    from whorl.problem import Problem

EXAMPLES = (
    "whorl problems --split pool -n 12 --level 1 --out problems.jsonl",
    "whorl problems --split test -n 12 --level 1 --out test.jsonl",
    "whorl problems --from countdown --level 3 --split test -n 12 --out countdown.jsonl",
    "whorl problems --from mine.csv --map question=problem,answer=solution --out mine.jsonl",
    "whorl problems --from problems.jsonl --scores scores.jsonl --pass-rate 0.1:0.9 --out "
    "some.jsonl",
)

USUAL = 500
MADE_UP = ("", "countdown")
ENDING = ".dropped.jsonl"


def problems(  # noqa: PLR0913 (each parameter is an option)
    out: Annotated[Path, typer.Option(help="File to write.", show_default=False)],
    source: Annotated[
        str,
        typer.Option(
            "--from",
            help="Data set or file (.jsonl, .csv, .parquet), or countdown. Without it: made up.",
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
            help="Made up: 1 easy to 5 hard; countdown: 3 to 5 numbers. Data sets: theirs. May be "
            "repeated; all if not given.",
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
    pretrain is what the shipped models were trained on. With --from countdown:
    make a number of given ones, an answer being any expression that does.

    Data sets: gsm8k, math, math500, collegemath, deepmind_mathematics,
    olympiadbench_math, theoremqa, aime, aime24, aime25, amc, amc23, svamp,
    mawps, aqua, numinamath, metamath, omnimath, bigmath. They come from the
    Hugging Face Hub (pip install 'whorl\\[hub]'), or from a folder (--at).

    What a filter drops is listed, with the reason, in OUT.dropped.jsonl.
    With -n, problems of a data set or file are drawn by lot after all filters;
    made up ones are so many before, of which filters leave fewer.
    """
    from whorl.cli.display import Display
    from whorl.cli.guard import whorl
    from whorl.data.problems import write_problems
    from whorl.data.selection import random_problems, write_dropped

    display = Display()
    noted = Noted()
    made_up = source in MADE_UP
    if not made_up:
        found = _loaded(source, split, at, columns, skip_bad, noted)
        found = _of_levels(found, levels) if levels else found
    else:
        if given("columns", "skip_bad") or (given("at") and not against):
            raise UserError(
                "--map, --skip-bad and --at are for a file or a data set; name it with --from"
            )
        found = _made_up(source, split or "pool", n or USUAL, levels, seed)
    filters = filters_of(against or (), overlap, at, scores, pass_rate, near_duplicates, noted)
    for each in filters:
        found = each(found)
    if n and not made_up:
        found = iter(random_problems(found, n, seed=seed))
    written = write_problems(out, _some(found, noted))
    for line in noted.lines():
        display.say(line)
    if filters:
        listing = out.with_name(out.name.removesuffix(".gz").removesuffix(".jsonl") + ENDING)
        count = write_dropped(listing, noted.dropped)
        display.wrote(listing, f"{count:,} problems that were dropped, and why")
    display.wrote(out, f"{written:,} problems of {source or 'the split ' + (split or 'pool')}")
    if split == "test":
        display.next(whorl("evaluate", "--model", "MODEL", "--problems", out, "--out", "s.jsonl"))
    else:
        display.next(whorl("init", "--problems", out, "--policy", "MODEL"))


def _loaded(
    source: str, split: str, at: Path | None, columns: str, skip_bad: bool, noted: Noted
) -> Iterator["Problem"]:
    from whorl.data.hub import load_benchmark
    from whorl.data.problems import read_problems

    if is_file(source):
        if given("split", "at"):
            raise UserError(f"--split and --at are for data sets, and {source} is a file")
        fields = _fields(columns)
        return read_problems(source, fields=fields, skip_bad=skip_bad, on_skip=noted.row)
    if given("columns", "skip_bad"):
        raise UserError(f"--map and --skip-bad are for files, and {source} is a data set")
    return load_benchmark(source, split=split, at=at, on_skip=noted.row)


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
    """The problems of these levels. Raises `UserError` at the end if there were none."""
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


def _made_up(
    kind: str, split: str, n: int, levels: Sequence[str] | None, seed: int
) -> Iterator["Problem"]:
    from whorl.data import countdown, families, synthetic

    made = countdown.problems if kind else synthetic.problems
    there = countdown.LEVELS if kind else families.LEVELS
    if split not in get_args(synthetic.Split):
        raise UserError(f"no split {split!r}; there are {', '.join(get_args(synthetic.Split))}")
    try:
        chosen = [int(level) for level in levels] if levels else there
    except ValueError:
        raise UserError(f"levels are numbers from {there[0]} to {there[-1]}") from None
    return made(cast("synthetic.Split", split), n, seed=seed, levels=chosen)


def _some(found: Iterator["Problem"], noted: Noted) -> Iterator["Problem"]:
    """The problems, unchanged. Raises `UserError` if there are none, so that no empty file is
    written."""
    first = next(found, None)
    if first is None:
        raise UserError("; ".join(("no problem is left", *noted.lines())))
    yield first
    yield from found

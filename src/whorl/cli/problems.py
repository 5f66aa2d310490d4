"""`whorl problems`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from whorl.cli import options

EXAMPLES = (
    "whorl problems --split pool -n 500 --out pool.jsonl",
    "whorl problems --split test -n 1000 --level 2 --level 3 --out test.jsonl",
)


def problems(
    out: Annotated[Path, typer.Option(help="File to write.", show_default=False)],
    n: Annotated[int, typer.Option("-n", "--n", min=1, help="How many.")] = 500,
    split: Annotated[
        Literal["test", "dev", "pool", "pretrain"],
        typer.Option(help="Splits never share a problem, whatever the seed."),
    ] = "pool",
    levels: Annotated[
        list[int] | None,
        typer.Option("--level", help="1 easy to 5 hard; may be repeated. All if not given."),
    ] = None,
    seed: options.Seed = 0,
) -> None:
    """Make up arithmetic problems with known answers.

    The split pool is for growing trees, test and dev are for measuring;
    pretrain is what the shipped models were trained on.
    """
    from whorl.cli.display import Display
    from whorl.data.families import LEVELS
    from whorl.data.problems import write_problems
    from whorl.data.synthetic import problems as made_up

    written = write_problems(out, made_up(split, n, seed=seed, levels=levels or LEVELS))
    Display().wrote(out, f"{written:,} problems of the split {split}")

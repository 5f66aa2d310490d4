"""`whorl show`."""

from pathlib import Path
from typing import Annotated

import typer

from whorl.cli import options

EXAMPLES = (
    "whorl show runs/a | head",
    "whorl show runs/a --unsolved",
    "whorl show runs/a expression-f3dc7ee33d1e --compact",
    "whorl show runs/a expression-f3dc7ee33d1e --notes",
    "whorl show after.jsonl equation-3c920d86a030",
)


def show(
    where: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|FILE",
            help="Run folder, file or Parquet data set of trees, or scores that `whorl evaluate` "
            "wrote; a URL too.",
            show_default=False,
        ),
    ],
    problem: Annotated[
        str, typer.Argument(metavar="[PROBLEM]", help="Id of a problem; all are listed if none.")
    ] = "",
    notes: Annotated[
        bool, typer.Option("--notes", help="With critiques and reasons for pruning.")
    ] = False,
    compact: Annotated[
        bool,
        typer.Option("--compact", help="A tree without what lies beside its chosen solution."),
    ] = False,
    solved: Annotated[
        bool | None,
        typer.Option(
            "--solved/--unsolved",
            help="List only problems whose chosen solution, or one attempt, is right; or the rest.",
            show_default=False,
        ),
    ] = None,
    round: options.Round = 0,
) -> None:
    """Show grown trees, or the attempts of an evaluation: a summary and a list of
    all, or those of one problem.
    """
    from whorl.cli.listing import Wanted, print_attempts, print_trees
    from whorl.cli.source import refuse_round, tree_files
    from whorl.errors import UserError
    from whorl.evaluate import Place

    wanted = Wanted(problem, solved, notes=notes, compact=compact)
    attempts = where if where.name.endswith(".attempts.jsonl") else Place(where).attempts
    if attempts.is_file():
        refuse_round(where, round)
        found = print_attempts(attempts, wanted)
    else:
        found = print_trees(tree_files(where, round), wanted)
    if not found:
        one, many = ("attempt at", "attempts") if attempts.is_file() else ("tree of", "trees")
        what = f"no {one} problem {problem!r}" if problem else f"no {many}"
        raise UserError(f"{where} holds {what}; `whorl show {where}` lists what there is")

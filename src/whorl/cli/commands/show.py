"""`whorl show`."""

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = (
    "whorl show runs/a | head",
    "whorl show runs/a pool:17 --notes",
    "whorl show after.jsonl test:3",
)


def show(
    where: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|FILE",
            help="Run folder, file of trees, or scores that `whorl evaluate` wrote.",
            show_default=False,
        ),
    ],
    problem: Annotated[
        str, typer.Argument(metavar="[PROBLEM]", help="Id of a problem; all are listed if none.")
    ] = "",
    notes: Annotated[
        bool, typer.Option("--notes", help="With critiques and reasons for pruning.")
    ] = False,
) -> None:
    """Show grown trees, or the attempts of an evaluation: a list of all, or those
    of one problem.
    """
    from whorl.cli import drawing
    from whorl.cli.terminal import console
    from whorl.data.forest import read_trees
    from whorl.errors import UserError
    from whorl.evaluate import Place, read_records
    from whorl.loop.folder import RunFolder

    terminal = console(soft_wrap=not problem)
    found = False
    attempts = where if where.name.endswith(".attempts.jsonl") else Place(where).attempts
    if attempts.is_file():
        for record in read_records(attempts):
            if not problem or record.problem.id == problem:
                tell = drawing.attempts_text if problem else drawing.attempts_line
                terminal.print(tell(record))
                found = True
    else:
        attempts = RunFolder.read(where).trees if where.is_dir() else where
        if not attempts.exists() and (where / "round-1").exists():
            raise UserError(f"the trees of {where} are in its rounds: whorl show {where}/round-1")
        for tree in read_trees(attempts):
            if not problem or tree.problem.id == problem:
                drawn = (
                    drawing.tree_drawing(tree, notes=notes) if problem else drawing.tree_line(tree)
                )
                terminal.print(drawn)
                found = True
    if not found:
        what = f"no tree of problem {problem!r}" if problem else "no trees"
        raise UserError(f"{attempts} holds {what}; `whorl show {where}` lists what there is")

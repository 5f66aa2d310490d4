"""`whorl show`."""

from typing import Annotated

import typer

from whorl.cli import options

EXAMPLES = ("whorl show runs/a | head", "whorl show runs/a pool:17 --notes")


def show(
    run: options.RunFolderArgument,
    problem: Annotated[
        str, typer.Argument(metavar="[PROBLEM]", help="Id of a problem; all are listed if none.")
    ] = "",
    notes: Annotated[
        bool, typer.Option("--notes", help="With critiques and reasons for pruning.")
    ] = False,
) -> None:
    """Show grown trees in the terminal: a list of all, or those of one problem."""
    from rich.console import Console

    from whorl.cli.drawing import drawn, listed
    from whorl.data.forest import read_trees
    from whorl.errors import UserError
    from whorl.folder import RunFolder

    folder = RunFolder.read(run)
    console = Console(highlight=False, soft_wrap=not problem)
    found = False
    for tree in read_trees(folder.trees):
        if not problem or tree.problem.id == problem:
            console.print(drawn(tree, notes=notes) if problem else listed(tree))
            found = True
    if not found:
        what = f"no tree of problem {problem!r}" if problem else "no trees"
        raise UserError(f"{folder.trees} holds {what}; `whorl show {run}` lists what there is")

"""`whorl adopt`."""

from pathlib import Path
from typing import Annotated

import typer

from whorl.cli import options

EXAMPLES = ("whorl adopt openr.jsonl --run runs/openr",)


def adopt(
    trees: Annotated[
        Path, typer.Argument(metavar="FILE", help="Trees, .jsonl or .jsonl.gz.", show_default=False)
    ],
    run: Annotated[Path, typer.Option(help="Run folder to write.", show_default=False)],
    recipe: options.Recipe = "rft",
) -> None:
    """Take over search trees that OpenR grew, as a run folder of our own.

    Final answers are judged anew. Then `whorl show RUN` draws the trees, and
    `whorl harvest RUN` makes examples of them by --recipe or another one that
    can read trees it has not grown.
    """
    from whorl import __version__, settings
    from whorl.cli.display import Display
    from whorl.cli.guard import whorl
    from whorl.data.content import content
    from whorl.data.forest import Forest
    from whorl.data.openr import read_openr
    from whorl.drive import drive
    from whorl.engines.judge import Judges
    from whorl.errors import UserError
    from whorl.loop.folder import RunFolder
    from whorl.rollout import judge_ends

    method = settings.as_table(settings.read_recipe({"name": recipe}))
    grown = list(read_openr(trees))
    if not grown:
        raise UserError(f"{trees} holds no tree")
    said = {"recipe": method, "trees": content(trees)}
    judges = Judges()
    try:
        with RunFolder.open(run, said, version=__version__) as folder, Forest(folder.trees) as kept:
            keys = [(tree.problem.id, "") for tree in grown]
            new = {f"{k}": tree for k, tree in enumerate(grown) if keys[k] not in kept}
            searches = ((key, judge_ends(tree, list(tree.leaves()))) for key, tree in new.items())
            for finished in drive(searches, {"judge": judges}):
                if finished.error:
                    raise UserError(f"the answers cannot be judged: {finished.error}")
                kept.append(new[finished.key])
            kept.finish(keys)
            count = len(kept)
    finally:
        judges.close()
    display = Display()
    display.wrote(folder.trees, f"{count:,} trees")
    display.next(whorl("harvest", run), whorl("show", run))

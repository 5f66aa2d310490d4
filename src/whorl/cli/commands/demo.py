"""`whorl demo`."""

from pathlib import Path
from typing import Annotated

import typer

from whorl.cli import options

EXAMPLES = ("whorl demo", "whorl demo --smoke --run runs/smoke --json")


def demo(
    run: Annotated[Path, typer.Option(help="Run folder to write.")] = Path("runs/demo"),
    smoke: Annotated[bool, typer.Option("--smoke", help="A small one, to see that it works.")] = (
        False
    ),
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Play the whole loop with the tiny models that come with whorl.

    Grows trees for made-up problems, harvests, trains students by SIGMA and
    by the methods it is compared with, and measures all on held-out problems.
    Needs no network. Writes report.html into the run folder.
    """
    import json

    from whorl.cli.display import Display
    from whorl.cli.results import print_demo
    from whorl.compare.demo import FULL, SMOKE, as_mapping, run_demo

    outcome = run_demo(run, SMOKE if smoke else FULL, Display(), seed=seed)
    print_demo(outcome)
    if as_json:
        typer.echo(json.dumps(as_mapping(outcome)))

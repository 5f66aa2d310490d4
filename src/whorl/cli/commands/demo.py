"""`whorl demo`."""

from pathlib import Path
from typing import Annotated

import typer

from whorl.cli import options

EXAMPLES = ("whorl demo --smoke --run runs/smoke --json",)


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
    import time

    from whorl.cli.demonstration import demo_as_json, print_demo, write_demo
    from whorl.cli.display import Display

    start, display = time.monotonic(), Display()
    display.say(f"writing {run}: opening the models that come with whorl")
    from whorl.compare.demo import FULL, SMOKE, play_demo

    size = SMOKE if smoke else FULL
    findings = play_demo(run, size, display, seed=seed)
    seconds = time.monotonic() - start
    page = write_demo(run, findings, size, seconds)
    display.wrote(page, "report; open it in a browser")
    print_demo(findings)
    if as_json:
        said = demo_as_json(findings) | {"seconds": round(seconds, 1), "report": str(page)}
        typer.echo(json.dumps(said))

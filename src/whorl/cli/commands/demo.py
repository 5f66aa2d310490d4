"""`whorl demo`."""

from pathlib import Path
from typing import Annotated

import typer

from whorl.cli import options
from whorl.cli.given import given
from whorl.errors import UserError

EXAMPLES = (
    "whorl demo --smoke --run runs/smoke --json",
    "whorl demo --model local:policy --run runs/own --problems problems.jsonl --test test.jsonl",
)


def demo(  # noqa: PLR0913 (each parameter is an option)
    run: Annotated[Path, typer.Option(help="Run folder to write.")] = Path("runs/demo"),
    smoke: Annotated[bool, typer.Option("--smoke", help="A small one, to see that it works.")] = (
        False
    ),
    model: Annotated[
        str,
        typer.Option(
            help="A model of your own instead: a folder, a name on the hub or a .gguf file.",
            show_default=False,
        ),
    ] = "",
    critic: Annotated[
        str,
        typer.Option(
            help="With --model: a larger one that solves what its search does not; itself, which "
            "seldom does, if none is named."
        ),
    ] = "",
    problems: Annotated[
        Path | None,
        typer.Option(help="With --model: problems to learn from, the first 24; else made up."),
    ] = None,
    test: Annotated[
        Path | None, typer.Option(help="With --model: problems to measure on; else 200 made up.")
    ] = None,
    seed: options.Seed = 0,
    repair: options.Repair = False,
    as_json: options.Json = False,
) -> None:
    """Play the whole loop with the tiny models that come with whorl, or with one of yours.

    Grows trees for made-up problems, harvests, trains students by SIGMA and
    by the methods it is compared with, and measures all on held-out problems.
    Needs no network. Writes report.html into RUN.

    With --model it plays one round of SIGMA for that model, by the preset
    `laptop`: grow, refine, harvest, train low-rank adapters, measure before and
    after, in RUN/run with its report.html. A model of half a billion parameters
    takes half an hour on two cores. The weights are read in eight bits where
    OpenVINO can take the model (pip install 'whorl\\[cpu]'), else in bfloat16; a
    name such as openvino:FOLDER?weights=int4 is taken as it stands.
    """
    import json
    import time

    from whorl.cli.display import Display

    start, display = time.monotonic(), Display()
    if given("model") or (model and not given("smoke", "as_json")):
        if given("smoke", "as_json"):
            raise UserError("--smoke and --json go without --model")
        from whorl.cli.commands.run import play
        from whorl.compare.real_demo import real_demo

        display.say(f"writing {run}: opening {model}")
        chosen = real_demo(run, model, critic=critic, problems=problems, test=test, seed=seed)
        return play(chosen, repair=repair)
    if given("critic", "problems", "test"):
        raise UserError("--critic, --problems and --test go with --model")
    from whorl.cli.demonstration import demo_as_json, print_demo, write_demo

    display.say(f"writing {run}: opening the models that come with whorl")
    from whorl.compare.demo import FULL, SMOKE, play_demo

    size = SMOKE if smoke else FULL
    findings = play_demo(run, size, display, seed=seed, repair=repair)
    seconds = time.monotonic() - start
    page = write_demo(run, findings, size, seconds)
    display.wrote(page, "report; open it in a browser")
    print_demo(findings)
    if as_json:
        said = demo_as_json(findings) | {"seconds": round(seconds, 1), "report": str(page)}
        typer.echo(json.dumps(said))

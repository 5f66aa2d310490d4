"""`whorl init`."""

from pathlib import Path
from typing import Annotated

import typer

from whorl.cli import options

EXAMPLES = (
    "whorl init --recipe rft --problems problems.jsonl --test test.jsonl --policy policy "
    "--rounds 1",
    "whorl init --problems problems.jsonl --policy policy --critic teacher --out sigma.toml",
)


def init(  # noqa: PLR0913 (each parameter is an option)
    problems: options.Problems,
    policy: Annotated[
        str, typer.Option(help="Model that solves and is trained.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Run file to write.")] = Path("run.toml"),
    recipe: options.Recipe = "sigma",
    test: Annotated[
        Path | None,
        typer.Option(
            help="Problems to measure on; none is measured if not given.", show_default=False
        ),
    ] = None,
    run: Annotated[Path, typer.Option(help="Run folder that the file names.")] = Path("runs/first"),
    critic: Annotated[str, typer.Option(help="Model that criticises; the policy if none.")] = "",
    reviser: Annotated[str, typer.Option(help="Model that rewrites; the policy if none.")] = "",
    teacher: options.Teacher = "",
    small: Annotated[str, typer.Option(help="Model that makes mistakes (SPHERE).")] = "",
    prm: Annotated[str, typer.Option(help="Process reward model (SPHERE).")] = "",
    rounds: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Rounds of search and training; as many as the preset has, if not given.",
            show_default=False,
        ),
    ] = None,
    overrides: options.Overrides = None,
) -> None:
    """Write a run file for a model and a data set, with every setting explained.

    What the options say stands in it, and each other setting as a comment with
    its default and what it means. --set changes the recipe; --set preset=laptop
    takes all of that preset: its search, training, rounds and measuring. Nothing
    is asked or loaded; files are read, and names are looked at.
    Then: whorl run run.toml --dry-run.
    """
    from dataclasses import fields, replace

    from whorl import settings
    from whorl.cli.display import Display
    from whorl.cli.guard import whorl
    from whorl.cli.template import run_file
    from whorl.data.atomic import replacing
    from whorl.data.problems import problem_ids
    from whorl.engines.roles import Engines
    from whorl.errors import UserError
    from whorl.loop.run import Run
    from whorl.loop.runfile import answered, read_run

    for file in filter(None, (problems, test)):
        if not file.is_file():
            raise UserError(f"there is no file {file}; `whorl problems` writes one")
        problem_ids(file)  # every line can be read
    if out.exists():
        raise UserError(f"{out} exists; choose another --out")
    table = settings.override({"name": recipe}, overrides or ())
    preset = settings.read_preset(table)
    for section in (field.name for field in fields(preset)):
        if section in table and section != "recipe":
            raise UserError(f"--set changes the recipe; change {section} in {out} once it is there")
    preset = replace(preset, recipe=settings.read_recipe(table))
    said = {field.name: getattr(preset, field.name) for field in fields(preset)}
    engines = Engines(policy, critic, reviser, small, prm, teacher=teacher)
    chosen = answered(Run(folder=run, problems=problems, test=test, engines=engines, **said))
    text = run_file(replace(chosen, rounds=rounds or preset.rounds), table.get("preset", ""))
    with replacing(out) as written:
        written.write(text.encode())
    read_run(out)
    display = Display()
    display.wrote(out, "run file, every setting explained")
    display.next(whorl("run", out, "--dry-run"), whorl("run", out))

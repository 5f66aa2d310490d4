"""`whorl fetch`."""

from pathlib import Path
from typing import Annotated

import typer

from whorl.cli import options

EXAMPLES = (
    "whorl fetch policy --out models/policy",
    "whorl fetch 'policy?template=plain' --out models/plain",
)


def fetch(
    model: Annotated[
        str,
        typer.Argument(
            help="OWNER/NAME of the hub, a revision after @; a GGUF file; or a folder.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Model folder to write.", show_default=False)
    ] = None,
    dry_run: options.DryRun = False,
) -> None:
    """Get a model, and make an ordinary folder of it.

    Every command takes such names itself and downloads what is lacking into
    the hub's cache; without --out this does no more. With --out the folder is
    copied from there, a GGUF file unpacked, and a chat template that is chosen
    with ?template= written into it.

    Weights are safetensors; no code that comes with a model is ever run.
    """
    from whorl.cli.display import Display
    from whorl.cli.guard import whorl
    from whorl.engines.model import copy_model, find_model, pending, read_config
    from whorl.engines.spec import HERE, Spec
    from whorl.errors import UserError

    if Spec.read(model).scheme not in HERE:
        raise UserError(f"{model} is behind a server; there is nothing to fetch")

    if dry_run and (lacking := pending(model)):
        return typer.echo(lacking)
    display = Display()
    found = find_model(model)
    read_config(found.folder)
    if dry_run:
        return typer.echo(f"nothing is to be downloaded for {model}")
    if out is None:
        typer.echo(found.folder)
        display.next(whorl("probe", model))
        return
    copy_model(found, out)
    display.wrote(out, f"model folder of {model}")
    display.next(whorl("probe", out))

"""The command line. Every command is a short function over the stages; see `whorl --help`."""

from collections.abc import Callable
from typing import Annotated

import typer
from rich.markup import escape

from whorl import __version__
from whorl.cli.commands import (
    adopt,
    compare,
    copy,
    demo,
    evaluate,
    export,
    fetch,
    grow,
    harvest,
    init,
    judge,
    merge,
    plan,
    probe,
    problems,
    prompts,
    report,
    run,
    show,
    status,
    table,
    train,
    view,
)
from whorl.cli.common import common
from whorl.cli.defaults import defaults, named
from whorl.cli.guard import guarded
from whorl.cli.log import show_log

app = typer.Typer(
    name="whorl",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"whorl {__version__}")
        raise typer.Exit


@app.callback(
    epilog="Start with [bold]whorl demo[/bold]. Exit codes: 0 done, 1 some problems failed, "
    "2 bad input, 3 the budget ended first, 130 stopped by Ctrl-C."
)
def whorl(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Make language models better at mathematics by tree search.

    Search trees are grown for problems with known answers, examples are
    harvested from the trees, a model is trained on the examples and measured
    on held-out problems.

    Options may have defaults of your own: in whorl.toml in the current folder,
    for all commands or in a table of the command's name, or in the environment,
    as WHORL_POLICY for --policy. An option that may be repeated takes a list in
    the file, and in the environment a value on each line. A default that does not
    go with what the command is given is left out of account; what --set changes
    differs by command, so its default belongs in a command's table.
    """
    show_log()
    guarded(_set_defaults)(context)


def _set_defaults(context: typer.Context) -> None:
    options = {
        name: dict(named(command.params))
        for name, command in getattr(context.command, "commands", {}).items()
    }
    context.default_map = defaults(options)


def _add(command: Callable[..., None], examples: tuple[str, ...]) -> None:
    epilog = "\n\n".join(("Examples:", *(f"[cyan]{escape(each)}[/cyan]" for each in examples)))
    app.command(epilog=epilog)(guarded(common(command)))


EXAMPLES: dict[str, tuple[str, ...]] = {}
"""Examples of each command, as its help shows them."""

for _module in (
    demo,
    plan,
    run,
    compare,
    grow,
    merge,
    adopt,
    harvest,
    export,
    copy,
    train,
    evaluate,
    fetch,
    table,
    probe,
    prompts,
    judge,
    problems,
    init,
    show,
    view,
    status,
    report,
):
    _name = _module.__name__.rpartition(".")[2]
    EXAMPLES[_name] = _module.EXAMPLES
    _add(getattr(_module, _name), _module.EXAMPLES)


def main() -> None:
    """The `whorl` command."""
    app()

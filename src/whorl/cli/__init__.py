"""The command line. Every command is a short function over the stages; see `whorl --help`."""

from collections.abc import Callable

import typer

from whorl.cli.commands import (
    adopt,
    compare,
    demo,
    evaluate,
    export,
    fetch,
    grow,
    harvest,
    judge,
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
from whorl.cli.guard import guarded
from whorl.cli.log import show_log

app = typer.Typer(
    name="whorl",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(
    epilog="Start with [bold]whorl demo[/bold]. Exit codes: 0 done, 1 some problems failed, "
    "2 bad input, 3 the budget ended first, 130 stopped by Ctrl-C."
)
def whorl() -> None:
    """Make language models better at mathematics by tree search.

    Search trees are grown for problems with known answers, examples are
    harvested from the trees, a model is trained on the examples and measured
    on held-out problems.
    """
    show_log()


def _add(command: Callable[..., None], examples: tuple[str, ...]) -> None:
    epilog = "\n\n".join(("Examples:", *(f"[cyan]{example}[/cyan]" for example in examples)))
    app.command(epilog=epilog)(guarded(command))


_add(demo.demo, demo.EXAMPLES)
_add(run.run, run.EXAMPLES)
_add(compare.compare, compare.EXAMPLES)
_add(grow.grow, grow.EXAMPLES)
_add(adopt.adopt, adopt.EXAMPLES)
_add(harvest.harvest, harvest.EXAMPLES)
_add(export.export, export.EXAMPLES)
_add(train.train, train.EXAMPLES)
_add(evaluate.evaluate, evaluate.EXAMPLES)
_add(fetch.fetch, fetch.EXAMPLES)
_add(table.table, table.EXAMPLES)
_add(probe.probe, probe.EXAMPLES)
_add(prompts.prompts, prompts.EXAMPLES)
_add(judge.judge, judge.EXAMPLES)
_add(problems.problems, problems.EXAMPLES)
_add(show.show, show.EXAMPLES)
_add(view.view, view.EXAMPLES)
_add(status.status, status.EXAMPLES)
_add(report.report, report.EXAMPLES)


def main() -> None:
    """The `whorl` command."""
    app()

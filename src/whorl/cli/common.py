"""Options of every command: how much it says, and a JSON object as its last line."""

import inspect
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from whorl.cli.given import GIVEN, read_given
from whorl.cli.speech import SPEECH, Speech
from whorl.cli.urls import local

QUIET = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors and results.")]
VERBOSE = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show details, and where a fault of whorl lies.")
]
JSON = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]


WRITTEN_DOWN = frozenset({"init"})
"""Commands that only write down the paths they are given: these stay as they were said."""


def common(command: Callable[..., None]) -> Callable[..., None]:
    """The function `command` with the options that every command has. What is said of a command
    without a --json of its own is what it printed, said and wrote."""
    signature = inspect.signature(command, eval_str=True)
    own_json = "as_json" in signature.parameters
    added = {"quiet": QUIET, "verbose": VERBOSE} | ({} if own_json else {"as_json": JSON})

    @wraps(command)
    def run(context: typer.Context, quiet: bool, verbose: bool, **kwargs: Any) -> None:
        generic = kwargs.pop("as_json") if not own_json else False
        speech = Speech(quiet=quiet, as_json=bool(kwargs.get("as_json", generic)))
        token, before = SPEECH.set(speech), GIVEN.set(read_given(context))
        if verbose:
            os.environ["WHORL_DEBUG"] = "1"
        try:
            with (
                _told(speech) if generic else _as_it_is(),
                local(command.__name__, kwargs) as ours,
            ):
                beside = command.__name__ not in WRITTEN_DOWN
                command(**{key: _named(value) if beside else value for key, value in ours.items()})
        finally:
            SPEECH.reset(token)
            GIVEN.reset(before)

    keyword = inspect.Parameter.KEYWORD_ONLY
    more = [
        inspect.Parameter(name, keyword, default=False, annotation=annotation)
        for name, annotation in added.items()
    ]
    context = inspect.Parameter("context", keyword, annotation=typer.Context)
    parameters = [*signature.parameters.values(), context, *more]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters} | {"return": None}
    return run


def _named(value: Any) -> Any:
    """An argument in which every path ends in a name: commands write beside what they are given."""
    from whorl.data.naming import named

    if isinstance(value, list):
        return [_named(each) for each in value]
    return named(value) if isinstance(value, Path) else value


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


@contextmanager
def _told(speech: Speech) -> Iterator[None]:
    """Print what was printed, said and written as JSON at the end, with the exit code."""
    start, printed, out = time.monotonic(), io.StringIO(), sys.stdout
    code = 0
    sys.stdout = printed
    try:
        yield
    except typer.Exit as end:
        code = end.exit_code
        raise
    finally:
        sys.stdout = out
        if sys.exception() is None or isinstance(sys.exception(), typer.Exit):
            said = {
                "exit": code,
                "seconds": round(time.monotonic() - start, 3),
                "wrote": speech.wrote,
                "said": speech.lines,
                "printed": printed.getvalue().splitlines(),
            }
            typer.echo(json.dumps(said, ensure_ascii=False))

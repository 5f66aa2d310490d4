"""Ends of commands: an error is one line on stderr, with an exit code."""

import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from functools import wraps
from typing import ParamSpec

import typer

from whorl.cli.terminal import shown_as_text
from whorl.errors import UserError

P = ParamSpec("P")

FAILED = 1  # some problems failed, the rest is done
REFUSED = 2  # bad input, or trouble that the user can put right
SPENT = 3  # the budget ended first; what is done is kept
BROKEN = 70  # a fault of whorl's own
STOPPED = 130  # Ctrl-C

GRACE = 30.0
"""Seconds that a further process of one command leaves the first one to say the same, whereupon
its launcher ends them all."""


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """The function `command` with errors shown as one line on stderr and an exit code, without
    traceback.

    What is written meanwhile is written as text (`cli.terminal`). Of several processes that a
    launcher started, the first one speaks; another one only if it alone is in trouble. With
    WHORL_DEBUG set in the environment, exceptions come through as they are.
    """

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with shown_as_text():
            try:
                with _first_speaks():
                    command(*args, **kwargs)
                sys.stdout.flush()
            except KeyboardInterrupt:
                _end(
                    f"stopped, and nothing finished is lost. To go on, repeat: {this_command()}",
                    STOPPED,
                )
            except typer.Exit:
                raise
            except Exception as error:
                if os.environ.get("WHORL_DEBUG"):
                    raise
                _end(*_told(error))

    if hasattr(command, "__signature__"):
        run.__signature__ = command.__signature__  # type: ignore[attr-defined]
    return run


def this_command() -> str:
    """The command line of this process, as it was typed."""
    return shlex.join(["whorl", *sys.argv[1:]])


def whorl(*words: object) -> str:
    """A command line of whorl's, as it would be typed."""
    return shlex.join(["whorl", *map(str, words)])


@contextmanager
def _first_speaks() -> Iterator[None]:
    """Silence stderr in every process of a distributed training but the first."""
    if _first():
        yield
    else:
        with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):
            yield


def _first() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _told(error: Exception) -> tuple[str, int]:
    if isinstance(error, UserError):
        return f"error: {error}", REFUSED
    if isinstance(error, BrokenPipeError):  # the reader of our output, e.g. `head`, has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return "", 0
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"error: {where}{error.strerror}", REFUSED
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return f"error: a fault in whorl: {what} (WHORL_DEBUG=1 shows where)", BROKEN


def _end(line: str, code: int) -> None:
    if line:
        if not _first():
            time.sleep(GRACE)
        typer.echo(" ".join(line.splitlines()), err=True)
    raise typer.Exit(code)

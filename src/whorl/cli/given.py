"""Options that a command was given: on its command line, or in a file of options. The others are at
their defaults, perhaps the user's own, which are for whatever command they fit."""

from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass

import typer

_FILE, _TYPED = "whorl.given.file", "whorl.given.typed"


@dataclass(frozen=True, slots=True)
class Given:
    """Parameters of the running command that were given, by name, and what `--set` says on its
    command line."""

    names: frozenset[str] = frozenset()
    settings: tuple[str, ...] = ()


GIVEN: ContextVar[Given] = ContextVar("given")
"""Of the running command, set by `common`; so no command has to pass on its context."""


def read_given(context: typer.Context) -> Given:
    """Read from a command's context which of its parameters were given. Those that say nothing, as
    an empty text does, were not."""
    in_file = context.meta.get(_FILE, frozenset())
    names = {
        name
        for name, value in context.params.items()
        if value is not None and value is not False and value not in ("", [])
        if name in in_file or typed(context, name)
    }
    return Given(frozenset(names), context.meta.get(_TYPED, ()))


def typed(context: typer.Context, name: str) -> bool:
    """Whether a parameter stands on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def note_file(context: typer.Context, names: Iterable[str]) -> None:
    """Note the parameters that a file of options gives."""
    context.meta[_FILE] = frozenset(names)


def note_settings(context: typer.Context, settings: Iterable[str]) -> None:
    """Note what `--set` says on the command line."""
    context.meta[_TYPED] = tuple(settings)


def given(*names: str) -> bool:
    """Whether one of some parameters was given."""
    return not GIVEN.get(Given()).names.isdisjoint(names)


def settings_typed() -> tuple[str, ...]:
    """Settings that `--set` gives on the command line."""
    return GIVEN.get(Given()).settings

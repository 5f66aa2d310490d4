"""Defaults of options: from `whorl.toml` in the current folder, from `WHORL_...` in the
environment, and from a file that a command is given."""

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import typer

from whorl.cli.guard import guarded
from whorl.errors import UserError

FILE = Path("whorl.toml")


def defaults(options: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, Any]]:
    """Defaults by command and parameter: what `whorl.toml` says for all commands, then in the table
    of the command, then the environment.

    options: by command, names as in `policy` or `max_tokens`, and the parameter of each.
    Raises `UserError` if the file cannot be read or names what is no option.
    """
    said = dict(_flat(FILE, _read(FILE) if FILE.is_file() else {}, options))
    found: dict[str, dict[str, Any]] = {}
    for command, own in options.items():
        values = {
            parameter: said[key]
            for name, parameter in own.items()
            for key in (("", name), (command, name))
            if key in said
        }
        for name, parameter in own.items():
            if text := os.environ.get(f"WHORL_{name.upper()}", ""):
                values[parameter] = text
        found[command] = values
    return found


def options_from(context: typer.Context, file: Path | None) -> Path | None:
    """The callback of an eager argument that names a file of a command's options: what it says
    comes before `whorl.toml` and the environment."""
    if file:
        guarded(_take)(context, file)
    return file


def _take(context: typer.Context, file: Path) -> None:
    command = str(context.command.name)
    options = {name: str(parameter.name) for name, parameter in named(context.command.params)}
    said = _flat(file, _read(file), {command: options}, command)
    own = {options[name]: value for (_, name), value in said}
    context.default_map = {**(context.default_map or {}), **own}


def named(parameters: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """A command's options by name, as in `policy` or `max_tokens`."""
    for parameter in parameters:
        for option in parameter.opts:
            if option.startswith("--") and option != "--help":
                yield option.removeprefix("--").replace("-", "_"), parameter


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read: {' '.join(str(error).split())}") from error


def _flat(
    file: Path,
    table: Mapping[str, Any],
    options: Mapping[str, Mapping[str, str]],
    command: str = "",
) -> Iterator[tuple[tuple[str, str], Any]]:
    """Values in a file's table, by command, empty for all of them, and name."""
    own = options.get(command, {name for each in options.values() for name in each})
    for key, value in table.items():
        name = key.replace("-", "_")
        if isinstance(value, dict) and not command and key in options:
            yield from _flat(file, value, options, key)
        elif name in own and not isinstance(value, dict):
            yield (command, name), value
        else:
            near = get_close_matches(name, own, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UserError(
                f"{file}: {command or 'no command'} has {'no' if command else 'an'} option "
                f"{key!r}{hint}"
            )

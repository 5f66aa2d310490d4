"""Defaults of options: from `whorl.toml` in the current folder, from `WHORL_...` in the
environment, and from a file that a command is given."""

import json
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import typer

from whorl.cli.given import note_file
from whorl.cli.guard import guarded
from whorl.errors import UserError

FILE = Path("whorl.toml")


Options = Mapping[str, Any]
"""The options of a command: names as in `policy` or `max_tokens`, and the parameter of each."""


def defaults(options: Mapping[str, Options]) -> dict[str, dict[str, Any]]:
    """Defaults by command and parameter: what `whorl.toml` says for all commands, then in the table
    of the command, then the environment, where a repeated option has a value on each line.

    options: by command.
    Raises `UserError` if the file cannot be read or names what is no option.
    """
    said = dict(_flat(FILE, _read(FILE) if FILE.is_file() else {}, options))
    several = {name for own in options.values() for name, each in own.items() if each.multiple}
    found: dict[str, dict[str, Any]] = {}
    for command, own in options.items():
        values = {
            str(parameter.name): _value(FILE, name, parameter, said[key])
            for name, parameter in own.items()
            for key in (("", name), (command, name))
            if key in said
            # several values, of an option that only other commands take several of
            if key[0] or name not in several or parameter.multiple or type(said[key]) is not list
        }
        for name, parameter in own.items():
            if text := os.environ.get(f"WHORL_{name.upper()}", ""):
                own_lines = text.splitlines() if parameter.multiple else text
                values[str(parameter.name)] = own_lines
        found[command] = values
    return found


def _value(file: Path, name: str, parameter: Any, value: Any) -> Any:
    """A file's value of an option: of one that may be repeated a list of texts, which a single
    value is too. Raises `UserError` for a list of values of any other, and for a truth value of an
    option that is no switch: it would count as 1."""
    values = value if isinstance(value, list) else [value]
    for each in () if parameter.is_flag else values:
        if isinstance(each, bool):
            raise UserError(
                f"{file}: {name} takes a value and is no switch, so not {str(each).lower()}"
            )
    if parameter.multiple:
        return [str(each) for each in values]
    if isinstance(value, list):
        raise UserError(f"{file}: {name} takes one value, not the list {value}")
    return value


def options_from(context: typer.Context, file: Path | None) -> Path | None:
    """The callback of an eager argument that names a file of a command's options: what it says
    comes before `whorl.toml` and the environment."""
    if file:
        guarded(_take)(context, file)
    return file


def _take(context: typer.Context, file: Path) -> None:
    command = str(context.command.name)
    options = dict(named(context.command.params))
    said = _flat(file, _read(file), {command: options}, command)
    own = {
        str(options[name].name): _value(file, name, options[name], value)
        for (_, name), value in said
    }
    note_file(context, own)
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
    options: Mapping[str, Options],
    command: str = "",
) -> Iterator[tuple[tuple[str, str], Any]]:
    """Values in a file's table, by command, empty for all of them, and name."""
    every = {name: own for each in options.values() for name, own in each.items()}
    own = options.get(command, every)
    for key, value in table.items():
        name = key.replace("-", "_")
        if isinstance(value, dict) and not command and key in options:
            yield from _flat(file, value, options, key)
        elif name in own and not isinstance(value, dict):
            yield (command, name), value
        elif name in own:
            raise UserError(f"{file}: {name} {_instead_of(value, name, own[name])}")
        else:
            near = get_close_matches(name, own, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UserError(
                f"{file}: {command or 'no command'} has {'no' if command else 'an'} option "
                f"{key!r}{hint}"
            )


def _instead_of(table: Mapping[str, Any], name: str, parameter: Any) -> str:
    """Words for what an option takes in place of a table; of one that may be repeated, the first
    value of this table as an example."""
    from whorl.settings import flat_items

    if not parameter.multiple:
        return "takes one value and no table"
    first = [f"{key}={value}" for key, value in flat_items(table)][:1]
    return f"takes a list and no table, e.g. {name} = {json.dumps(first, ensure_ascii=False)}"

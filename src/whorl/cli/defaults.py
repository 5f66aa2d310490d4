"""Defaults of options from `whorl.toml` in the current folder, and from `WHORL_...` in the
environment."""

import os
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from whorl.errors import UserError

FILE = Path("whorl.toml")


def defaults(options: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, Any]]:
    """Defaults by command and parameter: what `whorl.toml` says for all commands, then in the table
    of the command, then the environment.

    options: by command, names as in `policy` or `max_tokens`, and the parameter of each.
    Raises `UserError` if the file cannot be read or names what is no option.
    """
    said = dict(_flat(_read(), options))
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


def _read() -> dict[str, Any]:
    if not FILE.is_file():
        return {}
    try:
        return tomllib.loads(FILE.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{FILE} cannot be read: {' '.join(str(error).split())}") from error


def _flat(
    table: Mapping[str, Any], options: Mapping[str, Mapping[str, str]], command: str = ""
) -> Iterator[tuple[tuple[str, str], Any]]:
    """Values by command, empty for all of them, and name."""
    own = options.get(command, {name for each in options.values() for name in each})
    for key, value in table.items():
        name = key.replace("-", "_")
        if isinstance(value, dict) and not command and key in options:
            yield from _flat(value, options, key)
        elif name in own and not isinstance(value, dict):
            yield (command, name), value
        else:
            near = get_close_matches(name, own, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UserError(
                f"{FILE}: {command or 'no command'} has {'no' if command else 'an'} option "
                f"{key!r}{hint}"
            )

"""A run file with every setting there is: those that are set, and the others as comments."""

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from textwrap import wrap
from typing import Any

from whorl import settings
from whorl.ask import Ask
from whorl.cli.plan import ALWAYS, usual_run
from whorl.loop.run import Run

_ENTRY = re.compile(r"(\w+(?:, \w+)*): (.*)")
_TABLES = ("engines", "recipe", "train", "evaluate", "budget")
_WIDTH = 98  # of a comment

HEAD = """\
# A run file of whorl. What has no # before it is set; the others stand at their defaults, and take
# another value when the # goes. `whorl run FILE --dry-run` says what the run would do.
"""


def run_file(run: Run, which: str = "") -> str:
    """The text of a run file that says what `run` is, and names the preset it began with, `which`,
    unless that is the recipe's default."""
    usual = dict(settings.flat_items(settings.as_table(usual_run(run, which))))
    lines = [HEAD]
    for table in ("", *_TABLES):
        value = getattr(run, table) if table else run
        if table:
            lines.append(f"\n[{table}]")
        said = settings.as_table(value)
        if "name" in said:
            lines.append(f'name = "{said["name"]}"')
        if table == "recipe" and which:
            lines.append(f'preset = "{which}"')
        skip = _TABLES if not table else ()
        before = ""
        for key, meaning in meanings(value, skip):
            flat = dict(settings.flat_items(_picked(said, key)))
            for name, text in flat.items() or ((key, ""),):
                full = f"{table}.{name}" if table else name
                is_set = full in ALWAYS or (text and text != usual.get(full))
                if meaning != before:
                    lines += [f"# {line}" for line in wrap(meaning, _WIDTH)]
                before = meaning
                lines.append(f"{'' if is_set else '# '}{name} ={f' {text}' if text else ''}")
    return "\n".join(lines) + "\n"


def _picked(said: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The value of a dotted key in a table, as a table of that key alone."""
    value: Any = said
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return {}
        value = value[part]
    return {key: value}


def meanings(value: Any, skip: tuple[str, ...] = (), prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted keys of a dataclass of settings, and what the docstrings say of each."""
    told = dict(documented(type(value)))
    for field in fields(value):
        inner = getattr(value, field.name)
        key = prefix + str(field.metadata.get("key", field.name))
        if field.name in skip:
            continue
        if is_dataclass(inner) and isinstance(settings.as_table(inner), Mapping):
            yield from meanings(inner, (), f"{key}.")
        else:
            meaning = told.get(field.name, "")
            if meaning == "as in `Ask`.":
                meaning = dict(documented(Ask))[field.name]
            yield key, meaning[:1].upper() + meaning[1:]


def documented(kind: type) -> Iterator[tuple[str, str]]:
    """Names and what the docstring of a dataclass, or of a function, says of each."""
    names: list[str] = []
    text: list[str] = []
    for line in [*(inspect.getdoc(kind) or "").splitlines(), ""]:
        entry = _ENTRY.fullmatch(line)
        if names and line.startswith("    "):
            text.append(line.strip())
            continue
        yield from ((name, " ".join(text)) for name in names)
        names, text = (entry[1].split(", "), [entry[2]]) if entry else ([], [])

"""Pages of the site that are made of the code: commands, settings, the Python reference; formulas
and source in the others. A hook of mkdocs (`mkdocs.yml`)."""

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from typer.main import get_command

import whorl
from whorl import settings
from whorl.cli import EXAMPLES, app
from whorl.cli.template import documented, meanings
from whorl.engines.roles import Engines
from whorl.loop.run import Run
from whorl.recipes import RECIPES, find_recipe
from whorl.settings.presets import presets_of
from whorl.view.mathematics import formula

SOURCE = re.compile(r"^\{\{ source (\S+) \}\}$", re.MULTILINE)
FORMULA = re.compile(r"\$\$(?P<block>[^$]+)\$\$|\$(?P<inline>[^\s$][^$\n]*)\$")
NOTHING = '""'  # an empty text, as a run file says it
CODE = re.compile(r"(```.*?```|`[^`\n]*`|^    .*$)", re.DOTALL | re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made of the code."""
    made = {"commands.md": commands(), "settings.md": all_settings(), "python.md": python()}
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Put in the source of what a page names, and lay out the formulas of pages that say so."""
    text = SOURCE.sub(lambda found: source(found[1]), markdown)
    if not page.meta.get("formulas"):
        return text
    parts = CODE.split(text)
    return "".join(part if k % 2 else FORMULA.sub(_formula, part) for k, part in enumerate(parts))


def _formula(found: "re.Match[str]") -> str:
    block = found["block"] is not None
    return str(formula(found["block"] or found["inline"], found[0], block=block))


def source(name: str) -> str:
    """The source of a function or method, `module:Class.method`, as code."""
    module, _, path = name.partition(":")
    root = str(Path(__file__).parent.parent)
    sys.path[:0] = [] if root in sys.path else [root]  # the examples lie there
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    text = inspect.cleandoc("\n" + inspect.getsource(inspect.unwrap(found)))
    place = module.replace(".", "/")
    return f"*`{place}.py`, `{path}`*\n\n```python\n{text}\n```"


def commands() -> str:
    """Every command with its arguments and options."""
    parts = ["# Commands", "Each also says what is here with `--help`."]
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        parts.append(f"## whorl {name}")
        parts += [_paragraph(part) for part in (command.help or "").split("\n\n")]
        rows = [_option(parameter) for parameter in command.params if not parameter.hidden]
        parts.append("\n".join(["| option | meaning | default |", "| --- | --- | --- |", *rows]))
        parts.append("```bash\n" + "\n".join(EXAMPLES[name]) + "\n```")
    return "\n\n".join(parts) + "\n"


def _paragraph(text: str) -> str:
    """A paragraph of a help text; lines of a run file stand as they are."""
    if all(re.match(r"\s*[\w.]+ = ", line) for line in text.splitlines()):
        return f"```toml\n{inspect.cleandoc(text)}\n```"
    return " ".join(text.replace("\b", "").split())


def _option(parameter: Any) -> str:
    names = ", ".join(f"`{one}`" for one in (*parameter.opts, *parameter.secondary_opts))
    if parameter.param_type_name == "argument":
        names = f"`{parameter.metavar or parameter.name.upper()}`"
    several = get_args(parameter.type_descriptor.annotation)
    choices = [one for one in several if one is not type(None)]
    ends = (("≥", parameter.min), ("≤", parameter.max))
    limits = [f"{sign} {end:g}" for sign, end in ends if end is not None]
    more = ", ".join(f"`{one}`" for one in choices if isinstance(one, str))
    said = " ".join((parameter.help or "").split())
    meaning = " ".join(filter(None, (said, more and f"One of {more}.", " and ".join(limits))))
    default = parameter.default if parameter.show_default is True else parameter.show_default
    if parameter.required:
        text = "*needed*"
    elif default is None or default is False or default in ("", [], ()) or callable(default):
        text = ""
    else:
        text = f"`{default}`"
    return f"| {names} | {_cell(meaning)} | {text} |"


def all_settings() -> str:
    """Every setting of a run file, with its meaning, what it may be, and its default."""
    recipe = find_recipe("sigma")()
    run = Run(folder="", problems="", engines=Engines("policy"), recipe=recipe)
    parts = [
        "# Settings",
        "What a run file may say (`whorl init` writes one with all of them), and, without its "
        "table's name, what `--set` takes. The defaults of a run are those of its recipe's preset "
        "([presets](papers.md#presets)); the ones below are for scripts.",
        "## The run",
        _table(run, skip=("engines", "recipe", "train", "evaluate", "budget")),
    ]
    for name in ("engines", "train", "evaluate", "budget"):
        parts += [f"## {name}", _table(getattr(run, name))]
    for name in RECIPES:
        kind = find_recipe(name)
        presets = ", ".join(f"`{preset}`" for preset in presets_of(kind))
        first = (inspect.getdoc(kind) or "").split("\n\n")[0]
        parts += [f"## recipe {name}", f"{first} Presets: {presets}.", _table(kind())]
    return "\n\n".join(parts) + "\n"


def _table(value: Any, skip: tuple[str, ...] = ()) -> str:
    said = dict(settings.flat_items(settings.as_table(value)))
    rows = ["| setting | meaning | may be | default |", "| --- | --- | --- | --- |"]
    for key, meaning in meanings(value, skip):
        default = said.get(key, "")
        rows.append(
            f"| `{key}` | {_cell(meaning)} | {_cell(_kind(value, key))} | "
            f"{f'`{default}`' if default not in ('', NOTHING) else ''} |"
        )
    return "\n".join(rows)


def _kind(value: Any, key: str) -> str:
    """What a setting may be, of its annotation."""
    for part in key.split("."):
        hints = get_type_hints(type(value))
        names = {str(f.metadata.get("key", f.name)): f.name for f in fields(value)}
        kind = hints[names[part]]
        value = getattr(value, names[part])
        if not is_dataclass(value):
            break
    choices = list(_choices(kind))
    if choices:
        return ", ".join(f"`{one}`" for one in choices)
    said = _short(str(kind)) if get_args(kind) else kind.__name__
    return said.replace(" | None", ", or not set")


def _choices(kind: Any) -> Iterator[str]:
    """Words of the literals in a type."""
    for arg in get_args(kind):
        if isinstance(arg, str):
            yield arg
        yield from _choices(arg)


def _short(kind: str) -> str:
    """A type without the modules that its parts are of."""
    return re.sub(r"\b(?:[a-z_]\w*\.)+(\w+)", r"\1", kind)


def python() -> str:
    """What `from whorl import ...` gives."""
    parts = [
        "# Python",
        "What `from whorl import ...` gives, and the recipes in `whorl.recipes`. The first line of "
        "each says what it is; shapes, units and errors follow.",
    ]
    kinds = {"Classes": [], "Functions": [], "Modules and values": []}
    for name in whorl.__all__:
        found = getattr(whorl, name)
        kind = "Classes" if inspect.isclass(found) else "Functions"
        kinds[kind if callable(found) else "Modules and values"].append((name, found))
    for title, names in kinds.items():
        parts.append(f"## {title}")
        for name, found in names:
            parts += list(_described(name, found))
    return "\n\n".join(parts) + "\n"


def _described(name: str, found: Any) -> Iterator[str]:
    yield f"### `{name}`"
    if not callable(found):
        own = inspect.getdoc(found) if inspect.ismodule(found) else f"`{found!r}`"
        yield f"`whorl.{name}`. {(own or '').splitlines()[0] if own else ''}"
        return
    try:
        signature = _short(re.sub(r"<[^>]*>", "...", str(inspect.signature(found))))
        signature = signature.replace("NoneType", "None")
        yield f"```python\n{name}{_folded(signature)}\n```"
    except (TypeError, ValueError):  # a protocol, or made in C
        pass
    told = dict(documented(found))
    text = inspect.getdoc(found) or ""
    for part in text.split("\n\n"):
        if not any(re.match(rf"{re.escape(key)}\b.*: ", part) for key in told):
            yield part
            continue
        lines = [
            f"- `{key}`: {meaning}"
            for key, meaning in told.items()
            if re.search(rf"(?m)^(?:\w+, )*{re.escape(key)}(?:, \w+)*: ", part)
        ]
        yield "\n".join(lines)


def _folded(signature: str) -> str:
    """A long signature with a line for each parameter."""
    if len(signature) < 80 or "(" not in signature:
        return signature
    inner, _, end = signature[1:].rpartition(")")
    parts, depth, last = [], 0, 0
    for i, character in enumerate(inner):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and not depth:
            parts.append(inner[last:i].strip())
            last = i + 1
    parts.append(inner[last:].strip())
    return "(\n" + "".join(f"    {part},\n" for part in parts) + ")" + end


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")

"""Tables of settings, from files and `--set`, made into dataclasses strictly and in one place."""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from whorl.budget import Budget
from whorl.errors import UserError
from whorl.example import Objective
from whorl.prompts.families import FAMILIES
from whorl.prompts.wording import SETS, WHORL, Wording, changes
from whorl.recipe import Recipe, lacks, words_of
from whorl.recipes import RECIPES, find_recipe, name_of
from whorl.rollout import Sampling
from whorl.settings.presets import Preset, presets_of, usual
from whorl.steps import AfterMarker, BlankLine, Entropy, Segmenter, StepMarker, Tokens, Words

T = TypeVar("T")

Table = Mapping[str, Any]

STEPS: Mapping[str, Segmenter] = {
    "blank_line": BlankLine(),
    "step_marker": StepMarker(),
    "after_marker": AfterMarker(),
    "words": Words(),
    "tokens": Tokens(),
    "entropy": Entropy(),
}
"""Where a step ends: the values of `sampling.steps` and `sampling.inside`; a table with one of them
as its `name` says what that rule can be told."""


def read_table(path: Path, kind: type[T], overrides: Sequence[str] = ()) -> T:
    """Read the TOML file at `path` as a `kind`, with `KEY=VALUE` overrides. Raises `UserError` that
    says what is wrong."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"the run file {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not TOML: {' '.join(str(error).split())}") from error
    try:
        return _build(kind, _with_words(override(table, overrides)))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _with_words(table: dict[str, Any]) -> Table:
    """`[prompts]` of a run file are the recipe's `words`."""
    if "prompts" not in table or not isinstance(table.get("recipe"), dict):
        return table
    if "words" in table["recipe"]:
        raise UserError("recipe.words are said twice, in [prompts] too")
    rest = {key: value for key, value in table.items() if key != "prompts"}
    return {**rest, "recipe": {**table["recipe"], "words": table["prompts"]}}


def read_recipe(table: Table, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of a table: its `name`, perhaps a `preset`, and any of its fields."""
    return _recipe(override(table, overrides), "")


def read_preset(table: Table, overrides: Sequence[str] = ()) -> Preset:
    """The preset of a recipe's table, that is, with its `name` and perhaps a `preset`."""
    return _preset(override(table, overrides), "")


def read_settings(defaults: T, overrides: Sequence[str]) -> T:
    """The dataclass `defaults` with `KEY=VALUE` overrides applied."""
    return _build(type(defaults), override({}, overrides), base=defaults)


def read_budget(overrides: Sequence[str]) -> Budget:
    """The budget that overrides beginning with `budget.` make; other overrides are passed over."""
    own = [o for o in overrides if o.startswith("budget.")]
    return _build(Budget, override({}, own).get("budget", {}), "budget.")


def read_objective(defaults: Objective, overrides: Sequence[str]) -> Objective:
    """The objective with overrides that begin with `objective.`; other overrides are passed
    over."""
    own = [o.removeprefix("objective.") for o in overrides if o.startswith("objective.")]
    return read_settings(defaults, own)


def override(table: Table, overrides: Sequence[str]) -> dict[str, Any]:
    """`table` with every `a.b=VALUE` put in its place. VALUE is TOML, or bare text for a string."""
    changed = dict(table)
    for text in overrides:
        name, equals, value = text.partition("=")
        *sections, key = (part.strip() for part in name.split("."))
        if not equals or not all([*sections, key]):
            raise UserError(f"--set needs KEY=VALUE, for example seed=1, not {text!r}")
        inner = changed
        for section in sections:
            inner[section] = dict(_table(inner.get(section, {}), section))
            inner = inner[section]
        inner[key] = _literal(value.strip())
    return changed


def as_table(value: object) -> Any:
    """Settings as a table of JSON values. Settings that were read become what was read."""
    for name, steps in STEPS.items():
        if value == steps:
            return name
    if isinstance(value, Wording):
        return next((n for n, words in SETS.items() if words == value), changed_words(value))
    if is_dataclass(value):
        unsaid = _unsaid_words(type(value))
        said = {
            key: as_table(getattr(value, field.name))
            for key, field in _keys(value).items()
            if not _unsaid(field, getattr(value, field.name), unsaid)
        }
        if not lacks(type(value)):
            return {"name": name_of(value), **said}  # type: ignore[arg-type]
        rule = next((name for name, steps in STEPS.items() if isinstance(value, type(steps))), "")
        return {"name": rule, **said} if rule and rule != "blank_line" else said
    if isinstance(value, tuple):
        return [as_table(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, str | int | float):
        return value
    raise UserError(f"a setting that is a {type(value).__name__} cannot be kept in a file")


def _unsaid_words(kind: type) -> Wording | None:
    """The words of a recipe that its table leaves out, since they are those of its default preset;
    None for what is no recipe."""
    if lacks(kind):
        return None
    preset = next(iter(presets_of(kind).values()), None)
    return words_of(preset.recipe) if preset else WHORL


def _unsaid(field: "Field[Any]", value: object, words: Wording | None) -> bool:
    """Whether a setting is left out, as folders of versions before it have it: it is not set, or
    these words."""
    return (words is not None and value == words) or (value is None and "quiet" in field.metadata)


def changed_words(words: Wording) -> Table:
    """The words that differ from those of the house, as `as_table` gives them."""
    return {name: as_table(value) for name, value in changes(words).items()}


def flat_items(said: Table, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted keys and values of a table of `as_table`, as `--set` takes them; unset ones are left
    out."""
    for key, value in said.items():
        if isinstance(value, Mapping):
            yield from flat_items(value, f"{prefix}{key}.")
        elif value is not None:
            yield prefix + key, _toml(value)


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    # a date is no setting, but may be said
    return json.dumps(value, ensure_ascii=False, default=str)


def unset_keys(said: Table, prefix: str = "") -> Iterator[str]:
    """Dotted keys of a table of `as_table` that have no value."""
    for key, value in said.items():
        if isinstance(value, Mapping):
            yield from unset_keys(value, f"{prefix}{key}.")
        elif value is None:
            yield prefix + key


def _recipe(table: Table, where: str) -> Recipe:
    kind, base = _chosen(table, where)
    rest = {key: value for key, value in table.items() if key not in ("name", "preset")}
    if base is None and "preset" in table:
        raise UserError(f"{where}preset: {table['name']} has none")
    recipe = base.recipe if base else None
    return _build(type(recipe) if recipe else kind, rest, where, recipe)


def _preset(table: Table, where: str) -> Preset:
    """The preset of a recipe's table; if its class has none, what is usual for the recipe."""
    return _chosen(table, where)[1] or usual(_recipe(table, where))


def _chosen(table: Table, where: str) -> tuple[type[Recipe], Preset | None]:
    """The class of recipes that a table names, and which of its presets; None if it has none."""
    name = table.get("name")
    if not isinstance(name, str):
        missing = "is missing" if name is None else f"should be a valid string, not {name!r}"
        known = ", ".join(RECIPES)
        raise UserError(f"{where}name {missing}; there are {known}, or your own as module:Class")
    try:
        kind = find_recipe(name)
    except UserError as error:
        raise UserError(f"{where}name: {error}") from error
    presets = presets_of(kind)
    preset = table.get("preset", next(iter(presets), None))
    return kind, _choice(presets, preset, f"{where}preset", "preset") if presets else None


def _build(kind: type[T], table: Table, where: str = "", base: T | None = None) -> T:
    """A `kind`, or `base` with changes, from the values of `table`; `where` precedes names in
    messages."""
    assert is_dataclass(kind)
    known = _keys(kind)
    hints = _hints(kind)
    for key in table:
        if key not in known:
            raise _unknown(key, table[key], kind, where)
    given = _said_by_preset(hints, table) if base is None else {}
    defaults = {name: _default(field, base) for name, field in known.items()} | given
    for name, default in defaults.items():
        if name not in table and default is MISSING:
            raise UserError(f"{where}{name} is missing")
    values = given | {
        known[key].name: _value(hints[key], value, where + key, defaults[key])
        for key, value in table.items()
    }
    try:
        return kind(**values) if base is None else replace(base, **values)  # type: ignore[type-var]
    except (ValueError, UserError) as error:
        raise UserError(f"{where[:-1]}: {error}" if where else str(error)) from error


def _said_by_preset(hints: Mapping[str, Any], table: Table) -> dict[str, Any]:
    """Settings beside the recipe of a table, as the recipe's preset has them."""
    if hints.get("recipe") is not Recipe or "recipe" not in table:
        return {}
    preset = _preset(_table(table["recipe"], "recipe"), "recipe.")
    names = [field.name for field in fields(preset) if field.name != "recipe"]
    return {name: getattr(preset, name) for name in names if name in hints}


def _value(hint: Any, value: object, where: str, default: Any) -> Any:
    """One value, read as the type `hint`. default: what a table of settings changes."""
    if hint is Recipe:
        return _recipe(_table(value, where), f"{where}.")
    if hint is Wording and isinstance(value, str):
        return _choice(SETS, value, where, "set of words")
    if hint is Wording:
        value = dict(_table(value, where))
        if "set" in value:
            default = _choice(SETS, value.pop("set"), f"{where}.set", "set of words")
    if hint is Sampling:
        value, default = _of_family(_table(value, where), where, default)
    if hint in (Segmenter, Segmenter | None):
        return _steps(value, where, default)
    if is_dataclass(hint):
        base = None if default is MISSING else default
        return _build(hint, _table(value, where), f"{where}.", base)  # type: ignore[arg-type]
    try:
        text = json.dumps(value, default=lambda date: {"date": str(date)})  # no setting is one
        return TypeAdapter(hint).validate_json(text, strict=True)
    except PydanticUserError as error:
        raise UserError(f"{where} cannot be set: a file holds no {hint}") from error
    except ValidationError as error:
        what = error.errors()[0]["msg"].removeprefix("Input ").replace("array", "list")
        raise UserError(f"{where} {what[0].lower()}{what[1:]}, not {value!r}") from error


def _steps(value: object, where: str, default: Any) -> Segmenter | None:
    """A rule for steps: none, its name, or a table that changes one."""
    if value is None:
        return None
    if not isinstance(value, dict):
        return _choice(STEPS, value, where, "rule for steps")
    rest = dict(value)
    if "name" in rest:
        default = _choice(STEPS, rest.pop("name"), f"{where}.name", "rule for steps")
    elif "min_chars" in rest and not isinstance(default, BlankLine):
        default = BlankLine()  # which alone has it, and leaves its name out: see as_table
    base: Segmenter = BlankLine() if default in (None, MISSING) else default
    return _build(type(base), rest, f"{where}.", base)


def _of_family(table: Table, where: str, default: Any) -> tuple[Table, Any]:
    """Settings of sampling without their `family`, and what they change: with it, as the makers of
    models of that family sample."""
    if "family" not in table:
        return table, default
    family = _choice(FAMILIES, table["family"], f"{where}.family", "family")
    base = Sampling() if default is MISSING else default
    sampled = {name: getattr(family, name) for name in ("temperature", "top_p", "thought_tokens")}
    rest = {key: value for key, value in table.items() if key != "family"}
    return rest, replace(base, **sampled)


def _keys(settings: Any) -> "dict[str, Field[Any]]":
    """The fields of a dataclass, by the key of each in a file; most have one name for both."""
    return {field.metadata.get("key", field.name): field for field in fields(settings)}


def _hints(kind: type) -> dict[str, Any]:
    """The types of a dataclass's fields, by key."""
    hints = get_type_hints(kind)
    return {key: hints[field.name] for key, field in _keys(kind).items()}


def _default(field: "Field[Any]", base: object) -> Any:
    """The default of a field; MISSING if there is none."""
    if base is not None:
        return getattr(base, field.name)
    return field.default if field.default_factory is MISSING else field.default_factory()


def _literal(text: str) -> Any:
    try:
        table = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return table["value"] if len(table) == 1 else text


def _table(value: object, where: str) -> Table:
    if isinstance(value, dict):
        return value
    raise UserError(f"{where} should be a table of settings, not {value!r}")


def _choice(options: Mapping[str, T], name: object, where: str, what: str) -> T:
    """The option called `name`."""
    if isinstance(name, str) and name in options:
        return options[name]
    known = ", ".join(options)
    if name is None:
        raise UserError(f"{where} is missing; there are {known}")
    near = get_close_matches(str(name), options, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {known}"
    raise UserError(f"{where}: no {what} {name!r}; {hint}")


def _unknown(key: str, value: object, kind: type, where: str) -> UserError:
    """The nearest name there is, in this table or else further in; of a table whose content is at
    home in this one, as that of a run file's `recipe` is in a recipe, the content."""
    names = {name.rpartition(".")[2]: name for name in reversed(list(_names(kind)))}
    names |= {name: name for name in _keys(kind)}
    near = get_close_matches(key, _keys(kind), 1, 0.8) or get_close_matches(key, names, 1)
    own = ", ".join(_keys(kind))
    hint = f"did you mean {where}{names[near[0]]}?" if near else f"there are {own}"
    inner = dict(flat_items(value)) if isinstance(value, Mapping) else {}
    if inner and inner.keys() <= set(_names(kind)):
        said = (f"{where}{name}={text}" for name, text in inner.items())
        hint = f"did you mean {', '.join(said)}?"
    return UserError(f"unknown setting {where}{key}; {hint}")


def _names(kind: type, prefix: str = "") -> Iterator[str]:
    for name, hint in _hints(kind).items():
        yield prefix + name
        if is_dataclass(hint):
            yield from _names(hint, f"{prefix}{name}.")  # type: ignore[arg-type]

"""The methods, one file per paper, and how a recipe is found by its name."""

import copyreg
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from difflib import get_close_matches
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from whorl.errors import UserError
from whorl.recipe import Recipe, lacks
from whorl.recipes.distill import Distill
from whorl.recipes.dpo import Dpo
from whorl.recipes.grpo import Grpo
from whorl.recipes.marge import Marge
from whorl.recipes.on_policy_distill import OnPolicyDistill
from whorl.recipes.process import Process
from whorl.recipes.rft import Rft
from whorl.recipes.sigma import Sigma
from whorl.recipes.sphere import Sphere
from whorl.recipes.step_dpo import StepDpo
from whorl.recipes.tree_grpo import TreeGrpo
from whorl.recipes.tree_po import TreePo
from whorl.recipes.tree_rl import TreeRl
from whorl.recipes.tree_rpo import TreeRpo

__all__ = [
    "RECIPES",
    "Distill",
    "Dpo",
    "Grpo",
    "Marge",
    "OnPolicyDistill",
    "Process",
    "Rft",
    "Sigma",
    "Sphere",
    "StepDpo",
    "TreeGrpo",
    "TreePo",
    "TreeRl",
    "TreeRpo",
    "find_recipe",
    "name_of",
]

RECIPES: Mapping[str, type[Recipe]] = {
    "sigma": Sigma,
    "process": Process,
    "marge": Marge,
    "sphere": Sphere,
    "rft": Rft,
    "step_dpo": StepDpo,
    "dpo": Dpo,
    "grpo": Grpo,
    "distill": Distill,
    "on_policy_distill": OnPolicyDistill,
    "tree_rpo": TreeRpo,
    "tree_grpo": TreeGrpo,
    "tree_rl": TreeRl,
    "tree_po": TreePo,
}
"""The recipes that have a name of their own. Any other is called `module:Class` or, if it lies in a
file that is no module, `path/to/file.py:Class`."""

_DOT = "\N{ONE DOT LEADER}"
"""Stands for the dots of a path where it is the name of a module: others would name a package, and
nothing that is defined there could go to another process. No module that is imported has it."""


def name_of(recipe: Recipe) -> str:
    """Name of a recipe's class, by which `find_recipe` finds it."""
    kind = type(recipe)
    for name, own in RECIPES.items():
        if kind is own:
            return name
    module = kind.__module__
    if module == "__main__":  # a script, which is found again by its path
        path = Path(getattr(sys.modules[module], "__file__", None) or module)
        module = str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
    return f"{module.replace(_DOT, '.')}:{kind.__qualname__}"


def find_recipe(name: str) -> type[Recipe]:
    """The class of recipes called `name`.

    A module is imported as Python would import it in the current folder, so it lies there or is
    installed. Raises `UserError` if there is no such name, the module cannot be imported, or what
    it holds is no recipe.
    """
    if name in RECIPES:
        return RECIPES[name]
    place, colon, attribute = name.rpartition(":")
    if not colon:
        near = get_close_matches(name, RECIPES, 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(RECIPES)}"
        raise UserError(f"no recipe {name!r}; {hint}, or module:Class for one of your own")
    if not place or not attribute.isidentifier():
        raise UserError(f"a recipe of your own is called module:Class, not {name!r}")
    module = _module(place)
    kind: type[Recipe] | None = getattr(module, attribute, None)
    if kind is None:
        near = get_close_matches(attribute, vars(module), 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UserError(f"{place} has no {attribute}{hint}")
    _check(kind, name)
    copyreg.pickle(kind, _reduced)
    return kind


def _module(place: str) -> ModuleType:
    """Import the module or the file that is called `place`."""
    try:
        return _from_file(place) if place.endswith(".py") else _imported(place)
    except (Exception, SystemExit) as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{place} cannot be imported: {what}") from error


def _imported(place: str) -> ModuleType:
    with _first_on_path(Path.cwd()):
        return import_module(place)


def _from_file(place: str) -> ModuleType:
    """Import a file as a module named after its path, once per process."""
    path, here = Path(place).resolve(), Path.cwd()
    shown = path.relative_to(here) if path.is_relative_to(here) else path
    name = str(shown).replace(".", _DOT)  # the same however the file was called
    known = sys.modules.get(name)
    if known is not None and known.__file__ == str(path):
        return known
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"there is no file {place}")
    module = module_from_spec(spec)
    sys.modules[name] = module  # a dataclass looks its module up
    try:
        with _first_on_path(path.parent):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def _first_on_path(folder: Path) -> Iterator[None]:
    """Import from `folder` before anywhere else within the `with`."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _check(kind: object, name: str) -> None:
    """Raises `UserError` unless `kind` is a class of recipes whose settings can be read."""
    frozen = getattr(getattr(kind, "__dataclass_params__", None), "frozen", False)
    if not isinstance(kind, type) or not frozen:
        raise UserError(f"{name} is no dataclass; a recipe is one, @dataclass(frozen=True)")
    if lacking := lacks(kind):
        raise UserError(f"{name} is no recipe: it lacks {', '.join(lacking)}")
    if taken := {"arms", "choose", "presets", "remarks"} & {field.name for field in fields(kind)}:
        raise UserError(f"{name}: {taken.pop()} is no name for a setting, it is a recipe's method")
    try:
        get_type_hints(kind)
    except Exception as error:
        raise UserError(f"{name}: the types of its settings cannot be read: {error}") from error


def _reduced(recipe: Recipe) -> tuple[Any, ...]:
    """How a recipe of a foreign class is pickled: another process has to find its class first."""
    state = recipe.__reduce_ex__(2)
    assert isinstance(state, tuple)
    return _empty, (name_of(recipe),), *state[2:]


def _empty(name: str) -> Recipe:
    kind = find_recipe(name)
    return kind.__new__(kind)

"""Run files: reading one, and checking that every role that is asked has an engine."""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from whorl import engines
from whorl.ask import Role
from whorl.errors import UserError
from whorl.loop.run import Run
from whorl.recipe import unsound
from whorl.recipes import name_of
from whorl.settings import read_table


def read_run(path: Path, overrides: Sequence[str] = ()) -> Run:
    """Read the run file at `path`, with `KEY=VALUE` overrides. Raises `UserError` that says what is
    wrong."""
    return read_table(path, Run, overrides)


def check_engines(run: Run) -> None:
    """Raises `UserError` if an engine's name cannot be read, or the recipe asks a role that no
    engine answers."""
    for spec in filter(None, (*run.engines.named().values(), run.engines.student)):
        engines.check(spec)
    if fault := unsound(run.recipe):
        raise UserError(f"{name_of(run.recipe)} is no recipe: {fault}")
    for role in run.recipe.roles:
        if role not in get_args(Role):
            known = ", ".join(get_args(Role))
            raise UserError(f"{name_of(run.recipe)} asks a {role}; the roles there are: {known}")
        if role != "judge" and not getattr(run.engines, role, ""):
            raise UserError(
                f"{name_of(run.recipe)} asks a {role}, and none is named; give --{role} "
                f"SCHEME:PATH, or engines.{role} in a run file"
            )

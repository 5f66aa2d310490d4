"""The settings that a run folder is bound to, so that trees of different settings do not mix."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from whorl import settings
from whorl.ask import Role
from whorl.budget import Budget, Limits
from whorl.data.content import content
from whorl.engines.model import find_model, model_content
from whorl.engines.spec import Spec
from whorl.errors import UserError
from whorl.loop.folder import RunFolder
from whorl.loop.run import Run
from whorl.loop.thoughts import Taught
from whorl.recipe import Recipe
from whorl.recipes import find_recipe


def grown_from(run: Run) -> dict[str, Any]:
    """Settings that a run's trees depend on. Not: the folder, the number of searches in flight, the
    number of problems."""
    engines = run.engines.named()
    contents = {spec: model_content(spec) for spec in set(engines.values())}  # reads all weights
    by_content = {role: contents[spec] for role, spec in engines.items()}
    return bound_to(run.recipe, content(run.problems), by_content, run.seed, run.budget)


def bound_to(
    recipe: Recipe, problems: str, engines: Mapping[Role, str], seed: int, budget: Budget
) -> dict[str, Any]:
    """As `grown_from`. problems, engines: contents of the file, and names of the engines by
    content."""
    grown = {
        "recipe": settings.as_table(recipe),
        "problems": problems,
        "seed": seed,
        "engines": dict(engines),
    }
    if budget.problem == Limits():
        return grown
    limits: dict[str, Any] = {"problem": dict(budget.problem.named())}
    if budget.problem.money is not None:
        limits["prices"] = settings.as_table(budget.prices)
    return grown | {"budget": limits}


def learned_from(run: Run) -> dict[str, Any]:
    """Settings that the results of a whole run depend on. Not: when it stops; but what is held
    out."""
    learned = grown_from(run) | {
        "start": run.starts,
        "test": content(run.test) if run.test else None,
        **({"base": find_model(str(run.base)).identity()} if run.base else {}),
        **_of_student(run),
        "train": settings.as_table(run.train),
        "evaluate": settings.as_table(run.evaluate),
    }
    learned |= {"questions": run.questions} if run.questions else {}
    if run.harvest != Taught():
        learned["harvest"] = settings.as_table(run.harvest)
    return learned | ({"holdout": run.holdout} if run.patience else {})


def _of_student(run: Run) -> dict[str, Any]:
    """Settings that only the results of a run with a student of its own depend on."""
    student = run.engines.student
    return {"student": model_content(student), "protocol": run.protocol} if student else {}


def recipe_of(folder: RunFolder, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe that grew the trees of `folder`, with the settings of then and `KEY=VALUE`
    overrides. Raises `UserError` if its class cannot be found, or lacks one of these settings."""
    said = folder.settings.get("recipe")
    if not isinstance(said, Mapping):
        raise UserError(f"{folder.path} does not say which recipe grew its trees")
    name = said.get("name")
    try:
        find_recipe(str(name))
    except UserError as error:
        raise UserError(
            f"{folder.path} was grown by {name}: {error}; put it back, or harvest by another "
            "recipe (--recipe)"
        ) from error
    try:
        settings.read_recipe(said)
    except UserError as error:
        raise UserError(
            f"{name} has other settings now than when it grew {folder.path}: {error}. To harvest "
            f"by its settings now: --recipe {name}"
        ) from error
    return settings.read_recipe(said, overrides)


def learner(folder: RunFolder) -> str:
    """The model that learns from the trees of `folder`, as commands name models: their policy, or
    `MODEL` where that is not one of this machine's."""
    said = str(folder.settings.get("engines", {}).get("policy", ""))
    spec = Spec.read(said.rpartition(" ")[0] or said)  # behind the name is its content
    return spec.place if spec.place and spec.scheme == "local" and not spec.query else "MODEL"


def changed_settings(recipe: Recipe, folder: RunFolder) -> Iterator[str]:
    """Settings of `recipe` that differ from those under which it grew the trees of `folder`, in
    words; nothing if another recipe did."""
    then = dict(settings.flat_items(folder.settings.get("recipe", {})))
    now = dict(settings.flat_items(settings.as_table(recipe)))
    if then.get("name") == now["name"]:
        for key in sorted(then.keys() | now.keys()):
            if then.get(key) != now.get(key):
                unset = "not set"
                yield f"{key} = {now.get(key, unset)}, grown with {then.get(key, unset)}"

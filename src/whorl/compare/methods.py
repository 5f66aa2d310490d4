"""The methods of `whorl compare`: which recipe grows, which harvests, and how the student is
trained."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import cast

from whorl.errors import UserError
from whorl.example import Objective, Preference
from whorl.learn.training import Lora, Training
from whorl.recipe import Recipe
from whorl.recipes import RECIPES, Marge, Process, Rft, Sigma, Sphere, name_of
from whorl.rollout import Sampling
from whorl.search import Uct
from whorl.settings import read_recipe, read_settings
from whorl.steps import BlankLine


@dataclass(frozen=True, slots=True)
class Method:
    """A way to make students: a recipe that grows trees, a recipe that harvests them, and a
    training.

    forest: folder of the trees. Methods with the same forest share them; each is charged their
        whole cost.
    grow, harvest: the recipes that make the trees and that read them.
    train: of the students; the comparison's seed is added to the seed here.
    shares: of the tokens, rising, the last one 1: at each a student is trained and measured.
    rounds: each share is a round: the policy is the last student, which is trained further on that
        round's examples. Otherwise every student is the base model, trained on all there is so far.
    """

    name: str
    forest: str
    grow: Recipe
    harvest: Recipe
    train: Training
    shares: tuple[float, ...] = (1.0,)
    rounds: bool = False

    def __post_init__(self) -> None:
        rising = list(self.shares) == sorted(set(self.shares))
        if not rising or self.shares[:1] <= (0,) or self.shares[-1] != 1:
            raise UserError(f"{self.name}: shares should rise from above 0 to 1")
        if self.rounds and self.forest != self.name:
            raise UserError(f"{self.name}: rounds need trees of their own")


HALVES = (0.5, 1.0)
QUARTERS = (0.25, *HALVES)

# What the papers say of their training, and ours where they say nothing: docs/papers.md, "Training"
_SFT = Training()
_POLICY_GRADIENT = Training(epochs=1, lr=1e-6, batch=1024)
_DPO = Training(epochs=1, lr=5e-7, batch=64, max_length=2048, warmup=0.1)
_STEPS = Training(epochs=1, lr=1e-5, batch=64, lora=Lora(rank=64, alpha=128.0))

# Of the shipped models; chosen on `dev` problems, see docs/results.md
_TINY = Training(epochs=3, lr=1e-3, batch=32, max_length=1024, warmup=0.05)
_GENTLE = replace(_TINY, lr=1e-4)  # where a likelihood may be lowered, 1e-3 breaks the model
_TWICE = replace(_GENTLE, epochs=2)
_SAMPLING = {"step_tokens": 48, "solution_tokens": 256, "steps": BlankLine(min_chars=0)}


def method(recipe: Recipe) -> Method:
    """The method of a recipe that has no entry of its own: trees of its own, one student, trained
    as is usual for its objective."""
    return _own(recipe, _fit(recipe.objective, _SFT, _POLICY_GRADIENT, _DPO))


def tiny_method(recipe: Recipe) -> Method:
    """As `method`, for the shipped models; a recipe's setting `sampling` is cut to their size."""
    sampling = getattr(recipe, "sampling", None)
    if isinstance(sampling, Sampling):
        recipe = replace(recipe, sampling=replace(sampling, **_SAMPLING))  # type: ignore[type-var, arg-type]
    return _own(recipe, _fit(recipe.objective, _TINY, _TWICE, _GENTLE))


def _fit(
    objective: Objective, plain: Training, penalised: Training, preference: Training
) -> Training:
    """The usual training for an objective."""
    if isinstance(objective, Preference):
        return preference
    return penalised if objective.kl else plain


def _own(recipe: Recipe, train: Training) -> Method:
    name = name_of(recipe).rpartition(":")[2]
    return Method(name, name, recipe, recipe, train)


def _all(of: Callable[[Recipe], Method], *special: Method) -> Mapping[str, Method]:
    """A method for each recipe of the package: the given one, else `of` makes it."""
    given = {entry.name: entry for entry in special}
    return {name: given.get(name) or of(kind()) for name, kind in RECIPES.items()}


def _in_rounds(entry: Method) -> Method:
    return replace(entry, shares=HALVES, rounds=True)


PAPERS = _all(
    method,
    _in_rounds(replace(method(Process()), train=_STEPS)),
    _in_rounds(replace(method(Marge()), train=replace(_POLICY_GRADIENT, epochs=2))),
    replace(method(Rft()), shares=QUARTERS),
)
"""With the papers' settings, for models of one's own."""

TINY = _all(
    tiny_method,
    tiny_method(
        Sigma(
            uct=Uct(simulations=8),
            critic_tokens=128,
            reviser_tokens=64,
            gates=("keep", "unusable", "formatting"),
        )
    ),
    _in_rounds(tiny_method(Process())),
    _in_rounds(tiny_method(Marge())),
    replace(tiny_method(Sphere(score="rollouts")), train=replace(_GENTLE, batch=8)),
    replace(tiny_method(Rft(Sampling(temperature=1.0))), shares=QUARTERS),
)
"""For the shipped models."""


def variants(entries: Mapping[str, Method]) -> Mapping[str, Method]:
    """Variants of SIGMA (ablations, black box), and process supervision in a single round."""
    sigma, process, rft = entries["sigma"], entries["process"], entries["rft"]
    search = cast(Sigma, sigma.grow)
    made = (
        replace(sigma, name="sigma_unrefined", harvest=replace(search, take="unrefined")),
        _grown(sigma, "sigma_no_siblings", replace(search, siblings=0)),
        _grown(sigma, "sigma_whole_path", replace(search, mode="whole_path")),
        _grown(sigma, "sigma_show_gold", replace(search, show_gold=True)),
        _grown(
            replace(rft, shares=(1.0,)),
            "black_box",
            replace(cast(Rft, rft.grow), sampling=search.sampling, role="reviser"),
        ),
        _grown(replace(process, shares=(1.0,), rounds=False), "process_once", process.grow),
    )
    return {entry.name: entry for entry in made}


def _grown(entry: Method, name: str, recipe: Recipe) -> Method:
    return replace(entry, name=name, forest=name, grow=recipe, harvest=recipe)


def without_prm(entries: Mapping[str, Method]) -> Mapping[str, Method]:
    """The methods without a process reward model: SPHERE scores steps by rollouts."""
    sphere = entries["sphere"]
    recipe = replace(cast(Sphere, sphere.grow), score="rollouts")
    return {**entries, "sphere": replace(sphere, grow=recipe, harvest=recipe)}


def select_methods(
    entries: Mapping[str, Method],
    names: Iterable[str],
    overrides: Sequence[str] = (),
    *,
    other: Callable[[Recipe], Method] = method,
) -> tuple[Method, ...]:
    """The methods and variants called `names`, with `NAME.recipe.KEY=VALUE`,
    `NAME.train.KEY=VALUE`, `NAME.shares=[...]` and `NAME.rounds=...` applied; a variant follows its
    original.

    A name that is `module:Class` is a recipe from elsewhere, as `other` says it is compared; in
    overrides it is called `Class`. Raises `UserError` for a name that is not there, for two methods
    of one name, and for an override of none of them.
    """
    names = list(dict.fromkeys(names))
    strangers = {name: other(read_recipe({"name": name})) for name in names if ":" in name}
    whole = dict(entries)
    for name, entry in strangers.items():
        if entry.name in whole or entry.name in variants(entries):
            raise UserError(f"{name}: another recipe is called {entry.name} too; rename the class")
        whole[entry.name] = entry
    changed = {name: _changed(entry, overrides) for name, entry in whole.items()}
    known = changed | {
        name: _changed(entry, overrides) for name, entry in variants(changed).items()
    }
    for override in overrides:
        _entry(known, override.partition(".")[0])
    return tuple(_entry(known, strangers[n].name if n in strangers else n) for n in names)


def _entry(known: Mapping[str, Method], name: str) -> Method:
    if name in known:
        return known[name]
    near = get_close_matches(name, known, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    raise UserError(f"no recipe {name!r}; {hint}, or module:Class for one of your own")


def _changed(entry: Method, overrides: Sequence[str]) -> Method:
    own = [o.removeprefix(f"{entry.name}.") for o in overrides if o.startswith(f"{entry.name}.")]

    def about(section: str) -> list[str]:
        return [o.removeprefix(section) for o in own if o.startswith(section)]

    if recipe := about("recipe."):
        shared = entry.forest != entry.name  # the trees are another entry's: only the harvest's
        harvest = read_settings(entry.harvest, recipe)
        entry = replace(entry, harvest=harvest, grow=entry.grow if shared else harvest)
    train = read_settings(entry.train, about("train."))
    rest = [o for o in own if not o.startswith(("recipe.", "train."))]
    return read_settings(replace(entry, train=train), rest)

"""The methods of `whorl compare`: which recipe grows, which harvests, and how the student is
trained."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, cast

from whorl.compare.controls import KINDS, Control, Spoilt
from whorl.errors import UserError
from whorl.evaluate import Decoding
from whorl.learn.training import Training
from whorl.recipe import Recipe, heeds_verdicts
from whorl.recipes import RECIPES, Sigma, Sphere, find_recipe
from whorl.settings import read_recipe, read_settings
from whorl.settings.presets import Preset, presets_of, usual, usual_tiny


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
    control: what is spoilt in the trees before they are harvested; None: nothing.
    """

    name: str
    forest: str
    grow: Recipe
    harvest: Recipe
    train: Training
    shares: tuple[float, ...] = (1.0,)
    rounds: bool = False
    control: Control | None = field(default=None, metadata={"quiet": True})

    def __post_init__(self) -> None:
        rising = list(self.shares) == sorted(set(self.shares))
        if not rising or self.shares[:1] <= (0,) or self.shares[-1] != 1:
            raise UserError(f"{self.name}: shares should rise from above 0 to 1")
        if self.students_grow and self.forest != self.name:
            raise UserError(f"{self.name}: rounds need trees of their own")
        if self.control and self.control.spoils_verdicts and not heeds_verdicts(self.harvest):
            raise UserError(f"{self.name}: this recipe uses no verdict, so there is none to spoil")

    @property
    def students_grow(self) -> bool:
        """Whether trees are grown by students too: in the rounds after the first."""
        return self.rounds and len(self.shares) > 1


MEASURED: Mapping[str, tuple[float, ...]] = {"rft": (0.25, 0.5, 1.0)}
"""Shares of the tokens at which students of recipes in one round are measured, if not at the end
alone."""


def method(name: str, preset: Preset) -> Method:
    """The method that is a preset's: trees of its own, and a share of the tokens for each round."""
    rounds = preset.rounds
    even = tuple((number + 1) / rounds for number in range(rounds))
    shares = even if rounds > 1 else MEASURED.get(name, even)
    return Method(name, name, preset.recipe, preset.recipe, preset.train, shares, rounds > 1)


def methods(which: str = "") -> Mapping[str, Method]:
    """The method of each recipe of the package, by the preset called `which` or its default."""
    return {name: method(name, _preset(name, which)) for name in RECIPES}


def _preset(name: str, which: str) -> Preset:
    """The preset `which` of the recipe called `name`, or its default; if it has none, what is
    usual."""
    presets = presets_of(find_recipe(name))
    if presets:
        return presets.get(which) or next(iter(presets.values()))
    recipe = read_recipe({"name": name})
    return usual_tiny(recipe) if which == "tiny" else usual(recipe)


def attempts(which: str) -> Decoding:
    """The attempts by which presets called `which` measure; the longest, if they differ."""
    found = [
        preset.evaluate for kind in RECIPES.values() if (preset := presets_of(kind).get(which))
    ]
    return max(found, key=lambda decoding: decoding.max_tokens, default=Decoding())


HARVESTED = ("best", "check", "take")
"""SIGMA's settings that its harvest reads. Of a variant that reads SIGMA's own trees these alone
can be changed; the others have had their effect when the trees were grown."""


def variants(entries: Mapping[str, Method]) -> Mapping[str, Method]:
    """Variants of SIGMA, ablations, and process supervision in a single round."""
    sigma, process = entries["sigma"], entries["process"]
    own = cast(Sigma, sigma.grow)
    # of critiques there is nothing to leave out where none is written
    search = replace(own, mode="per_depth") if own.mode == "afresh" else own
    made = (
        replace(sigma, name="sigma_unrefined", harvest=replace(own, take="unrefined")),
        _grown(sigma, "sigma_no_siblings", replace(search, siblings=0)),
        _grown(sigma, "sigma_whole_path", replace(search, mode="whole_path")),
        _grown(sigma, "sigma_show_gold", replace(search, show_gold=True)),
        _grown(replace(process, shares=(1.0,), rounds=False), "process_once", process.grow),
    )
    return {entry.name: entry for entry in made}


def _grown(entry: Method, name: str, recipe: Recipe) -> Method:
    return replace(entry, name=name, forest=name, grow=recipe, harvest=recipe)


def controlled(entry: Method, kind: Spoilt) -> Method:
    """The control of a method that spoils `kind`: the same trees, unless its students grow those of
    the next round. Raises `UserError` if it uses no verdict."""
    name = f"{entry.name}_{kind}"
    forest = name if entry.students_grow else entry.forest
    return replace(entry, name=name, forest=forest, control=Control(kind))


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
    which: str = "",
    typed: Iterable[str] = (),
) -> tuple[Method, ...]:
    """The methods and variants called `names`, with `NAME.recipe.KEY=VALUE`,
    `NAME.train.KEY=VALUE`, `NAME.shares=[...]` and `NAME.rounds=...` applied; a variant follows its
    original, and so does a control, `NAME_random` and the others of `controls.KINDS`, of which
    nothing can be changed but `NAME_random.control.KEY=VALUE`.

    A name that is `module:Class` is a recipe from elsewhere, of which the preset `which` is
    compared; in overrides it is called `Class`.

    typed: those of `overrides` that have to change something. The others may be of methods that are
        not compared, as those of a file are.
    Raises `UserError` for a name that is not there, for two methods of one name, for an override of
    none of them, of what a control has from its original or a variant from the trees it shares, for
    a typed one of a section that nothing compared has or follows, and for a control of a recipe
    that uses no verdict.
    """
    names = list(dict.fromkeys(names))
    chosen = _selected(entries, names, overrides, which)
    compared = {name for method in chosen for name in (method.name, original(method.name))}
    for override in typed:
        name, section = re.split(r"[.=]", override)[:2]
        if name not in compared and not _followed(entries, names, which, (name, section)):
            raise UserError(
                f"--set {override} changes nothing: {name} is not compared, and nothing that is "
                f"follows its {section}. Name it in --recipes, or leave the setting out"
            )
    return chosen


def _followed(
    entries: Mapping[str, Method], names: Sequence[str], which: str, place: tuple[str, str]
) -> bool:
    """Whether what `names` select would change if a method had another section than it has, as a
    variant of it does. place: the method's name, and recipe, train, shares or rounds."""
    name, section = place
    if name not in entries:
        return False
    own = entries[name]
    by_section: dict[str, dict[str, Any]] = {
        "shares": {"shares": (own.shares[0] / 2, 1.0)},
        "rounds": {"rounds": not own.rounds},
    }
    other = by_section.get(section, {"train": replace(own.train, seed=own.train.seed + 1)})
    changed = {**entries, name: replace(own, **other)}
    return _selected(changed, names, (), which) != _selected(entries, names, (), which)


def _selected(
    entries: Mapping[str, Method], names: Sequence[str], overrides: Sequence[str], which: str
) -> tuple[Method, ...]:
    known = _known(entries, names, overrides, which)
    for override in overrides:
        _entry(known, override.partition(".")[0], overrides)
    return tuple(_entry(known, name.rpartition(":")[2], overrides) for name in names)


def _known(
    entries: Mapping[str, Method], names: Sequence[str], overrides: Sequence[str], which: str
) -> Mapping[str, Method]:
    """All methods and variants with overrides applied, those from elsewhere in `names` too."""
    places = dict.fromkeys(original(name) for name in names if ":" in name)
    strangers = {name: method(name.rpartition(":")[2], _preset(name, which)) for name in places}
    whole = dict(entries)
    for name, entry in strangers.items():
        if entry.name in whole or entry.name in variants(entries):
            raise UserError(f"{name}: another recipe is called {entry.name} too; rename the class")
        whole[entry.name] = entry
    changed = {name: _changed(entry, overrides) for name, entry in whole.items()}
    return changed | {name: _changed(entry, overrides) for name, entry in variants(changed).items()}


def original(name: str) -> str:
    """The name of the method that a control's name is of; any other name as it is."""
    base, _, kind = name.rpartition("_")
    return base if kind in KINDS else name


def _entry(known: Mapping[str, Method], name: str, overrides: Sequence[str]) -> Method:
    if name in known:
        return known[name]
    base = original(name)
    if base != name:
        entry = controlled(_entry(known, base, overrides), cast(Spoilt, name[len(base) + 1 :]))
        return _changed(entry, overrides)
    near = get_close_matches(name, known, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    raise UserError(f"no recipe {name!r}; {hint}, or module:Class for one of your own")


def _changed(entry: Method, overrides: Sequence[str]) -> Method:
    own = [o.removeprefix(f"{entry.name}.") for o in overrides if o.startswith(f"{entry.name}.")]

    if entry.control and (other := [o for o in own if not o.startswith("control.")]):
        base = original(entry.name)
        raise UserError(
            f"{entry.name} differs from {base} by what it spoils alone: write {base}.{other[0]}"
        )

    def about(section: str) -> list[str]:
        return [o.removeprefix(section) for o in own if o.startswith(section)]

    if recipe := about("recipe."):
        shared = entry.forest != entry.name  # the trees are another entry's: only the harvest's
        for setting in recipe if shared else ():
            if re.split(r"[.=]", setting)[0] not in HARVESTED:
                raise UserError(
                    f"{entry.name} harvests the trees that {entry.forest} grows: write "
                    f"{entry.forest}.recipe.{setting}"
                )
        harvest = read_settings(entry.harvest, recipe)
        entry = replace(entry, harvest=harvest, grow=entry.grow if shared else harvest)
    train = read_settings(entry.train, about("train."))
    if spoilt := about("control."):
        if entry.control is None:
            raise UserError(f"{entry.name} is no control; {entry.name}_flipped is one")
        entry = replace(entry, control=read_settings(entry.control, spoilt))
    rest = [o for o in own if not o.startswith(("recipe.", "train.", "control."))]
    for setting in rest:  # the other fields say what the method is
        if re.split(r"[.=]", setting)[0].strip() not in ("shares", "rounds"):
            raise UserError(
                f"--set {entry.name}.{setting}: of {entry.name} there are {entry.name}.recipe.KEY, "
                f"{entry.name}.train.KEY, {entry.name}.shares and {entry.name}.rounds"
            )
    return read_settings(replace(entry, train=train), rest)

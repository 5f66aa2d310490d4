"""The methods that `whorl compare` knows: what each grows, harvests and trains with."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import cast

from whorl.errors import UserError
from whorl.learn.training import Lora, Training
from whorl.recipe import Recipe
from whorl.recipes.dpo import Dpo
from whorl.recipes.grpo import Grpo
from whorl.recipes.marge import Marge
from whorl.recipes.process import Process
from whorl.recipes.rft import Rft
from whorl.recipes.sigma import Sigma
from whorl.recipes.sphere import Sphere
from whorl.recipes.step_dpo import StepDpo
from whorl.search import Sampling, Uct
from whorl.settings import read_settings
from whorl.steps import BlankLine


@dataclass(frozen=True, slots=True)
class Method:
    """A way to make students: the recipe that grows trees, the one that reads them, the training.

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


def _own(
    name: str,
    recipe: Recipe,
    train: Training,
    shares: tuple[float, ...] = (1.0,),
    *,
    rounds: bool = False,
) -> Method:
    return Method(name, name, recipe, recipe, train, shares, rounds)


def _named(*entries: Method) -> Mapping[str, Method]:
    return {entry.name: entry for entry in entries}


QUARTERS = (0.25, 0.5, 1.0)
HALVES = (0.5, 1.0)

# papers.md 5.5: the papers' training where they say it, ours where they do not
_SFT = Training()
_POLICY_GRADIENT = Training(epochs=2, lr=1e-6, batch=1024)
_STEPS = Training(epochs=1, lr=1e-5, batch=64, lora=Lora(rank=64, alpha=128.0))
_DPO = Training(epochs=1, lr=5e-7, batch=64, max_length=2048, warmup=0.1)

PAPERS = _named(
    _own("sigma", Sigma(), _SFT),
    _own("process", Process(), _STEPS, HALVES, rounds=True),
    _own("marge", Marge(), _POLICY_GRADIENT, HALVES, rounds=True),
    _own("sphere", Sphere(), _DPO),
    _own("rft", Rft(), _SFT, QUARTERS),
    _own("step_dpo", StepDpo(), _DPO),
    _own("dpo", Dpo(), _DPO),
    _own("grpo", Grpo(), replace(_POLICY_GRADIENT, epochs=1)),
)
"""With the papers' settings, for models of one's own."""

_SAMPLING = Sampling(step_tokens=48, solution_tokens=256, steps=BlankLine(min_chars=0))
_NUCLEUS = replace(_SAMPLING, top_p=0.95)
_WARM = replace(_NUCLEUS, temperature=0.8)
_TINY = Training(epochs=3, lr=1e-3, batch=32, max_length=1024, warmup=0.05)
_GENTLE = replace(_TINY, lr=1e-4)  # where a likelihood may be lowered, 1e-3 breaks the model
_TWICE = replace(_GENTLE, epochs=2)

TINY = _named(
    _own(
        "sigma",
        Sigma(uct=Uct(simulations=8), sampling=_SAMPLING, critic_tokens=128, reviser_tokens=64),
        _TINY,
    ),
    _own("process", Process(sampling=_NUCLEUS), _TWICE, HALVES, rounds=True),
    _own("marge", Marge(sampling=_WARM), _TWICE, HALVES, rounds=True),
    _own(
        "sphere",
        Sphere(sampling=replace(_SAMPLING, temperature=0.8), score="rollouts"),
        replace(_GENTLE, batch=8),
    ),
    _own("rft", Rft(replace(_SAMPLING, temperature=1.0)), _TINY, QUARTERS),
    _own("step_dpo", StepDpo(sampling=_NUCLEUS), _GENTLE),
    _own("dpo", Dpo(sampling=_WARM), _GENTLE),
    _own("grpo", Grpo(sampling=_WARM), _TWICE),
)
"""For the shipped models. Training was chosen on `dev` problems, see docs/results.md."""


def variants(entries: Mapping[str, Method]) -> Mapping[str, Method]:
    """SIGMA's ablations, its black-box baseline, and process supervision in a single round."""
    sigma, process, rft = entries["sigma"], entries["process"], entries["rft"]
    search = cast(Sigma, sigma.grow)
    return _named(
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


def _grown(entry: Method, name: str, recipe: Recipe) -> Method:
    return replace(entry, name=name, forest=name, grow=recipe, harvest=recipe)


def unscored(entries: Mapping[str, Method]) -> Mapping[str, Method]:
    """Without a process reward model: SPHERE scores steps by rollouts."""
    sphere = entries["sphere"]
    recipe = replace(cast(Sphere, sphere.grow), score="rollouts")
    return {**entries, "sphere": replace(sphere, grow=recipe, harvest=recipe)}


def select(
    entries: Mapping[str, Method], names: Iterable[str], overrides: Sequence[str] = ()
) -> tuple[Method, ...]:
    """The entries and variants called `names`, with `NAME.recipe.KEY=VALUE`, `NAME.train.KEY=VALUE`
    `NAME.shares=[...]` and `NAME.rounds=...` applied; a variant follows its original. Raises
    `UserError` for a name that is not there, and for an override of none of them."""
    changed = {name: _changed(entry, overrides) for name, entry in entries.items()}
    known = changed | {
        name: _changed(entry, overrides) for name, entry in variants(changed).items()
    }
    for override in overrides:
        _entry(known, override.partition(".")[0])
    return tuple(_entry(known, name) for name in dict.fromkeys(names))


def _entry(known: Mapping[str, Method], name: str) -> Method:
    if name in known:
        return known[name]
    near = get_close_matches(name, known, 1, 0.5)
    raise UserError(
        f"no recipe {name!r}; " + (f"did you mean {near[0]}?" if near else f"{', '.join(known)}")
    )


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

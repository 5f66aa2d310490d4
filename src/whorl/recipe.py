"""The protocol of recipes: what a paper fulfils."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Literal, Protocol, TypeAlias, get_args, runtime_checkable

from whorl.ask import Asking, Role
from whorl.example import Distillation, Example, Likelihood, Objective, Preference
from whorl.problem import Problem
from whorl.prompts.wording import WHORL, Wording
from whorl.tree import Tree

Start: TypeAlias = Literal["last", "first"]
"""Where a round's training starts: `last`, from the model that the round before ended with, on what
this round taught; `first`, from the model that the first round started with, on what all rounds so
far taught. Either way a model has learned from every round: in turn, or together."""


@dataclass(frozen=True, slots=True)
class Harvest:
    """Harvest of one tree: examples, and counts of what was left out, by reason."""

    examples: tuple[Example, ...]
    dropped: Mapping[str, int]


class Recipe(Protocol):
    """A method: grows a tree for a problem, harvests examples from it.

    A recipe is a frozen dataclass whose fields are its hyper-parameters; it does no I/O. The first
    four members are class attributes where they do not depend on those.
    """

    @property
    def roles(self) -> Sequence[Role]:
        """The roles that `grow` asks, the judge aside."""

    @property
    def samples_at_most(self) -> int:
        """Samples that one search may ask for; an upper bound for planning, seldom reached."""

    @property
    def objective(self) -> Objective:
        """The objective that examples are trained with."""

    @property
    def starts(self) -> Start:
        """The model from which rounds after the first train, unless the run says otherwise."""

    def grow(self, problem: Problem, last: Tree | None = None) -> Asking[Tree]:
        """Search one problem: yields asks, is sent replies, returns the tree.

        last: the tree that the same arm grew for the problem in the round before.
        """

    def harvest(self, tree: Tree) -> Harvest:
        """Pure: examples from a grown tree."""

    def tally(self, tree: Tree) -> Mapping[str, int]:
        """Pure: counts for the run's summary, e.g. how often the method's guards fired."""


@runtime_checkable
class Armed(Protocol):
    """A recipe with several arms: independent searches of every problem."""

    def arms(self) -> Mapping[str, Recipe]:
        """The recipe of each arm, by the arm's name."""


@runtime_checkable
class Candid(Protocol):
    """A recipe that says where a run came out otherwise than its method means to."""

    def remarks(self, tally: Mapping[str, int]) -> Sequence[str]:
        """Lines that the owner of a run has to know, by the `tally` of all its trees."""


@runtime_checkable
class Choosing(Protocol):
    """A recipe that harvests what it chose by the verdicts in the tree."""

    def choose(self, tree: Tree) -> int:
        """Pure: the tip of a tree that it grew."""


@runtime_checkable
class Checked(Protocol):
    """A recipe that can harvest without looking at any verdict."""

    @property
    def verified(self) -> bool:
        """Whether what is harvested depends on verdicts."""


@runtime_checkable
class Bounded(Protocol):
    """A recipe that knows a tighter bound of tokens than that of its longest sample."""

    @property
    def tokens_at_most(self) -> int:
        """Sampled tokens that one search may cost; an upper bound for planning, seldom reached."""


@runtime_checkable
class ByLikelihood(Protocol):
    """A recipe that looks at how likely the policy's tokens were, whatever its settings."""

    @property
    def by_likelihood(self) -> str:
        """The part of it that does, in words and in the plural."""


def tokens_at_most(recipe: Recipe) -> int:
    """Sampled tokens that one search of a recipe may cost: its own bound, or all samples as long as
    the settings named `..._tokens` let the longest one be. 0: no setting says."""
    if isinstance(recipe, Bounded):
        return recipe.tokens_at_most
    limits = dict(_token_limits(recipe))
    thought = limits.pop("thought_tokens", 0)
    return recipe.samples_at_most * (thought + max(limits.values())) if limits else 0


def _token_limits(settings: object) -> Iterator[tuple[str, int]]:
    """Settings named `..._tokens`, those of inner settings included."""
    if not is_dataclass(settings):
        return
    for field in fields(settings):
        value = getattr(settings, field.name)
        if field.name.endswith("_tokens") and isinstance(value, int):
            yield field.name, value
        yield from _token_limits(value)


def arms_of(recipe: Recipe) -> Mapping[str, Recipe]:
    """The recipe of each arm, by name; `{"": recipe}` for a recipe without arms."""
    return recipe.arms() if isinstance(recipe, Armed) else {"": recipe}


def remarks_of(recipe: Recipe, tally: Mapping[str, int]) -> Sequence[str]:
    """Remarks of a recipe on a run, by the `tally` of all its trees."""
    return recipe.remarks(tally) if isinstance(recipe, Candid) else ()


def chosen_of(recipe: Recipe, tree: Tree) -> int:
    """The tip that a recipe chooses by the verdicts in a tree; else the one it has."""
    return recipe.choose(tree) if isinstance(recipe, Choosing) else tree.tip


def heeds_verdicts(recipe: Recipe) -> bool:
    """Whether what a recipe harvests depends on verdicts; it does, unless the recipe says not."""
    return recipe.verified if isinstance(recipe, Checked) else True


def words_of(recipe: Recipe) -> Wording:
    """The words in which a recipe asks: its setting `words`, or those of the house."""
    words = getattr(recipe, "words", WHORL)
    return words if isinstance(words, Wording) else WHORL


def lacks(kind: type) -> list[str]:
    """The members of `Recipe` that a class lacks, as attributes and as dataclass fields."""
    wanted = [name for name in vars(Recipe) if not name.startswith("_")]
    own = getattr(kind, "__dataclass_fields__", {})
    return [name for name in wanted if not hasattr(kind, name) and name not in own]


def asked_roles(recipe: Recipe) -> list[Role]:
    """The roles that a recipe asks, without the judge, which no model plays, if it names it too."""
    return [role for role in recipe.roles if role != "judge"]


def unsound(recipe: Recipe) -> str:
    """Why the members of a recipe cannot be used, whatever it does; empty if they can."""
    try:
        starts, objective, roles = recipe.starts, recipe.objective, tuple(recipe.roles)
    except Exception as error:  # somebody's property
        return " ".join(f"{type(error).__name__}: {error}".split())
    if starts not in get_args(Start):
        return f"starts should be one of {', '.join(get_args(Start))}, not {starts!r}"
    for role in roles:
        if role not in get_args(Role):
            return f"it asks a {role}; the roles there are: {', '.join(get_args(Role))}"
    if not isinstance(objective, Likelihood | Preference | Distillation):
        return f"objective should be a Likelihood, Preference or Distillation, not {objective!r}"
    return ""

"""What a paper fulfils to live in this house."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from whorl.ask import Moves, Role
from whorl.example import Example, Objective
from whorl.problem import Problem
from whorl.tree import Tree

Start: TypeAlias = Literal["last", "first"]
"""Where a round's training starts: `last`, from the model that the round before ended with, on what
this round taught; `first`, from the model that the first round started with, on what all rounds so
far taught. Either way a model has learned from every round: in turn, or together."""


@dataclass(frozen=True, slots=True)
class Harvest:
    """What one tree taught, and what was left out and why (reason -> count)."""

    examples: tuple[Example, ...]
    dropped: Mapping[str, int]


class Recipe(Protocol):
    """A method: grows a tree for a problem, harvests examples from it.

    A recipe is a frozen dataclass whose fields are its hyper-parameters; it does no I/O.
    """

    @property
    def roles(self) -> Sequence[Role]:
        """Whom `grow` asks, the judge aside."""

    @property
    def samples_at_most(self) -> int:
        """Samples that one search may ask for; an upper bound for planning, seldom reached."""

    @property
    def objective(self) -> Objective:
        """What training makes of the examples."""

    @property
    def starts(self) -> Start:
        """Where training starts in a round after the first, unless the run says otherwise."""

    def arms(self) -> Mapping[str, "Recipe"]:
        """Independent searches of every problem, by name; `{"": self}` if there is just one."""

    def grow(self, problem: Problem, last: Tree | None = None) -> Moves[Tree]:
        """Search one problem: yields asks, is sent replies, returns the tree.

        last: the tree that the same arm grew for the problem in the round before.
        """

    def harvest(self, tree: Tree) -> Harvest:
        """Pure: examples from a grown tree."""

    def tally(self, tree: Tree) -> Mapping[str, int]:
        """Pure: counts for the run's summary, e.g. how often the method's guards fired."""

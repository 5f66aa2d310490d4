"""whorl makes language models better at mathematics by tree search.

What is imported from here is all that a recipe or a script needs; the recipes are in
`whorl.recipes`. The thinking half needs the standard library only and is loaded at once, the rest
when it is first named.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from whorl import prompts
from whorl.ask import Ask, Asking, Engine, Failure, Prompt, Replies, Reply, Role, together
from whorl.budget import Budget, Limits
from whorl.credit import (
    Completion,
    backup,
    backup_all,
    best_path,
    completions,
    ended,
    first_right,
    group_advantage,
    outcome,
    preference_pairs,
    reinforced,
    relative_correctness,
    root_completions,
    solutions,
    usability,
)
from whorl.drive import Finished, drive
from whorl.errors import UserError
from whorl.example import Example, Likelihood, Objective, Pair, Preference, Weighted
from whorl.problem import Problem
from whorl.recipe import Harvest, Recipe
from whorl.rollout import (
    Sampling,
    Voice,
    add_solution,
    complete,
    estimate,
    judge_ends,
    roll_out,
    sample,
    step_node,
)
from whorl.search import (
    Uct,
    expand,
    mcts,
    score,
    select,
    simulate,
    too_deep,
    waves,
    within_budget,
)
from whorl.steps import BlankLine, Segmenter, StepMarker
from whorl.tree import ROOT, Author, Mark, Node, Tree

if TYPE_CHECKING:
    from whorl import models
    from whorl.cli.display import Display
    from whorl.data import synthetic
    from whorl.data.examples import read_examples, write_examples
    from whorl.data.forest import read_trees
    from whorl.data.nodes import trees_to_dataset
    from whorl.data.problems import read_problems, write_problems
    from whorl.engines import open_engine, toy
    from whorl.engines.function import Function
    from whorl.engines.judge import Judges
    from whorl.evaluate import Decoding, Setup, pass_rate, read_scores
    from whorl.evaluate.table import table
    from whorl.learn.training import Lora, Training
    from whorl.loop.stages import grow, harvest, measure, train

__version__ = "0.1.0"

__all__ = [
    "ROOT",
    "Ask",
    "Asking",
    "Author",
    "BlankLine",
    "Budget",
    "Completion",
    "Decoding",
    "Display",
    "Engine",
    "Example",
    "Failure",
    "Finished",
    "Function",
    "Harvest",
    "Judges",
    "Likelihood",
    "Limits",
    "Lora",
    "Mark",
    "Node",
    "Objective",
    "Pair",
    "Preference",
    "Problem",
    "Prompt",
    "Recipe",
    "Replies",
    "Reply",
    "Role",
    "Sampling",
    "Segmenter",
    "Setup",
    "StepMarker",
    "Training",
    "Tree",
    "Uct",
    "UserError",
    "Voice",
    "Weighted",
    "__version__",
    "add_solution",
    "backup",
    "backup_all",
    "best_path",
    "complete",
    "completions",
    "drive",
    "ended",
    "estimate",
    "expand",
    "first_right",
    "group_advantage",
    "grow",
    "harvest",
    "judge_ends",
    "mcts",
    "measure",
    "models",
    "open_engine",
    "outcome",
    "pass_rate",
    "preference_pairs",
    "prompts",
    "read_examples",
    "read_problems",
    "read_scores",
    "read_trees",
    "reinforced",
    "relative_correctness",
    "roll_out",
    "root_completions",
    "sample",
    "score",
    "select",
    "simulate",
    "solutions",
    "step_node",
    "synthetic",
    "table",
    "together",
    "too_deep",
    "toy",
    "train",
    "trees_to_dataset",
    "usability",
    "waves",
    "within_budget",
    "write_examples",
    "write_problems",
]

_MODULES = {
    "models": "whorl.models",
    "synthetic": "whorl.data.synthetic",
    "toy": "whorl.engines.toy",
}
_LATER = {
    "whorl.cli.display": ("Display",),
    "whorl.data.examples": ("read_examples", "write_examples"),
    "whorl.data.forest": ("read_trees",),
    "whorl.data.nodes": ("trees_to_dataset",),
    "whorl.data.problems": ("read_problems", "write_problems"),
    "whorl.engines": ("open_engine",),
    "whorl.engines.function": ("Function",),
    "whorl.engines.judge": ("Judges",),
    "whorl.evaluate": ("Decoding", "Setup", "pass_rate", "read_scores"),
    "whorl.evaluate.table": ("table",),
    "whorl.learn.training": ("Lora", "Training"),
    "whorl.loop.stages": ("grow", "harvest", "measure", "train"),
}


def __getattr__(name: str) -> Any:
    """A module or function of the door that is slow to import: imported when first named."""
    if name in _MODULES:
        return import_module(_MODULES[name])
    for place, names in _LATER.items():
        if name in names:
            return getattr(import_module(place), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

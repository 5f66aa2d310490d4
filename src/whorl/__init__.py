"""whorl makes language models better at mathematics by tree search."""

from whorl import prompts
from whorl.ask import Ask, Engine, Failure, Moves, Prompt, Replies, Reply
from whorl.drive import Finished, drive
from whorl.example import Example, Likelihood, Objective, Pair, Preference, Weighted
from whorl.problem import Problem
from whorl.recipe import Harvest, Recipe
from whorl.tree import Node, Tree

__version__ = "0.1.0"

__all__ = [
    "Ask",
    "Engine",
    "Example",
    "Failure",
    "Finished",
    "Harvest",
    "Likelihood",
    "Moves",
    "Node",
    "Objective",
    "Pair",
    "Preference",
    "Problem",
    "Prompt",
    "Recipe",
    "Replies",
    "Reply",
    "Tree",
    "Weighted",
    "__version__",
    "drive",
    "prompts",
]

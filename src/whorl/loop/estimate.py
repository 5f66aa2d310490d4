"""Some problems of a run, really searched to see what they cost before it begins."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from heapq import nsmallest
from pathlib import Path
from tempfile import TemporaryDirectory

from whorl import __version__
from whorl.budget import Spent
from whorl.data.forest import read_trees
from whorl.engines.crew import Crew
from whorl.engines.journal import Journal
from whorl.loop.folder import RunFolder
from whorl.loop.grow import GrowPlan, grow
from whorl.loop.manifest import grown_from
from whorl.loop.run import Run
from whorl.loop.split import lot, problems_of
from whorl.watch import Watch


@dataclass(frozen=True, slots=True)
class Tried:
    """Problems that were searched to see what they cost.

    tokens: sampled for each problem, in its trees. spent: by all searches. seconds: of wall clock,
    side by side. failures: searches that failed, with why.
    """

    tokens: tuple[int, ...]
    spent: Spent
    seconds: float
    failures: Mapping[str, str]


def search_some(run: Run, crew: Crew, count: int, folder: RunFolder, watch: Watch) -> Tried:
    """Search `count` of the run's problems, drawn by lot, as the run would; the trees end in
    `folder`.

    The run's whole budget is left out: problems that it does not last for say nothing of what one
    costs, and those that end first are the cheap ones.
    """
    plan = GrowPlan.of(replace(run, budget=run.budget.of_problems()))
    drawn = nsmallest(count, problems_of(run), key=lambda problem: lot(f"plan/{problem.id}"))
    began = time.monotonic()
    grown = grow(folder, drawn, plan, crew, watch=watch, expected=len(drawn))
    seconds = time.monotonic() - began
    tokens = dict.fromkeys((problem.id for problem in drawn), 0)
    for tree in read_trees(folder.trees):
        tokens[tree.problem.id] += sum(tree.cost.values())
    spent = Spent(run.budget.prices)
    with Journal(folder.journal) as journal:
        for role, usage in journal.usage():
            spent.add(role, usage)
    return Tried(tuple(tokens.values()), spent, seconds, grown.failures)


def try_problems(run: Run, crew: Crew, count: int, watch: Watch) -> Tried:
    """Search `count` of the run's problems, drawn by lot; nothing is kept."""
    with TemporaryDirectory() as name:
        place = Path(name) / "run"
        with RunFolder.open(place, grown_from(run), version=__version__) as folder:
            return search_some(run, crew, count, folder, watch)

"""A few problems of a run, really searched to see what they cost before it begins."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from whorl.ask import Asking, Engine
from whorl.budget import Usage
from whorl.drive import drive
from whorl.engines.journal import Journal
from whorl.loop.run import Run
from whorl.loop.split import problems_of
from whorl.recipe import arms_of
from whorl.tree import Tree


@dataclass(frozen=True, slots=True)
class Tried:
    """Problems that were searched to see what they cost.

    tokens: sampled for each problem, by all its searches. usage: of all, by role. seconds: of wall
    clock, side by side. failures: searches that failed, with why.
    """

    tokens: tuple[int, ...]
    usage: Mapping[str, Usage]
    seconds: float
    failures: Mapping[str, str]


def try_problems(run: Run, engines: Mapping[str, Engine], count: int, problems: int) -> Tried:
    """Search `count` of the run's `problems`, spread over its file; nothing is kept."""
    arms = arms_of(run.recipe)
    every = max(1, problems // count)
    chosen = list(islice(problems_of(run), 0, every * count, every))

    def searches() -> Iterator[tuple[str, Asking[Tree]]]:
        for problem in chosen:
            for arm, armed in arms.items():
                yield f"{problem.id}#{arm}", armed.grow(problem)

    spent = Counter({problem.id: 0 for problem in chosen})
    failures: dict[str, str] = {}
    begun = time.monotonic()
    with TemporaryDirectory() as folder, Journal(Path(folder) / "journal.db") as journal:
        wrapped = {id(engine): journal.wrap(engine) for engine in engines.values()}
        by_role = {role: wrapped[id(engine)] for role, engine in engines.items()}
        for finished in drive(searches(), by_role, width=run.width, seed=run.seed):
            spent[finished.key.rpartition("#")[0]] += sum(finished.cost.values())
            if finished.error:
                failures[finished.key] = finished.error
        usage = dict(journal.usage())
    return Tried(tuple(spent.values()), usage, time.monotonic() - begun, failures)

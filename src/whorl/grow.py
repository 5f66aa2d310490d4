"""Growing the trees of a run: what that needs is made sure of before anything is written."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from whorl import stages
from whorl.budget import Purse
from whorl.engines.roles import Opened
from whorl.folder import RunFolder
from whorl.run import Run
from whorl.stages import Grown, Plan, Progress, Watch
from whorl.survey import Survey, problems_of, survey


@dataclass(frozen=True, slots=True)
class Ready:
    """What a run needs: what its file of problems holds, and its engines, which are open."""

    found: Survey
    opened: Opened


@contextmanager
def ready(run: Run) -> Iterator[Ready]:
    """Raises `UserError` if the problems cannot be read or the engines not be opened."""
    found = survey(run)
    with Opened(run.engines) as opened:
        opened.by_role()
        yield Ready(found, opened)


def check(run: Run) -> Survey:
    """What `ready` finds, and nothing is kept open."""
    with ready(run) as prepared:
        return prepared.found


def grow(
    folder: RunFolder,
    run: Run,
    prepared: Ready,
    watch: Watch,
    *,
    last: Path | None = None,
    purse: Purse | None = None,
) -> Grown:
    """Grow the trees of `run.problems` into `folder`.

    last: the trees of the round before.
    purse: what earlier rounds have left of the budget; None if there were none.
    """
    found = prepared.found
    if found.bad:
        watch.say(f"passed over {found.bad:,} bad lines of {run.problems} ({found.first_bad})")
    progress = Progress(total=found.problems * len(run.recipe.arms()))
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(run.recipe).__name__).lower()
    plan = Plan(run.recipe, name, run.seed, run.width, purse or Purse(run.budget))
    with watch.stage("grow", progress):
        grown = stages.grow(
            folder,
            lambda: problems_of(run),
            plan,
            prepared.opened.by_role(),
            last=last,
            progress=progress,
        )
    watch.wrote(folder.trees, f"{grown.trees:,} trees")
    return grown

"""The stages of the loop as functions for scripts, with the defaults of the commands."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from hashlib import blake2b
from itertools import chain
from json import dumps
from pathlib import Path
from typing import cast, get_args

from whorl import __version__
from whorl.ask import Engine, Role
from whorl.budget import Budget
from whorl.budget.purse import Purse
from whorl.data.contamination import ids_among
from whorl.data.content import content
from whorl.data.examples import read_examples
from whorl.data.naming import named
from whorl.data.problems import distinct, read_problems, write_problems
from whorl.data.purpose import read_purpose
from whorl.engines import check
from whorl.engines.crew import Here
from whorl.engines.model import model_content
from whorl.engines.roles import Engines, Opened, trainable
from whorl.errors import UserError
from whorl.evaluate import Score, Setup
from whorl.evaluate.exam import Exam
from whorl.evaluate.exam import measure as measure_policy
from whorl.evaluate.seen import trained_on
from whorl.example import Example, Likelihood, Objective, Pair, Preference
from whorl.learn.training import Training, TrainResult
from whorl.loop.folder import RunFolder
from whorl.loop.grow import Grown, GrowPlan
from whorl.loop.grow import grow as grow_trees
from whorl.loop.harvest import Harvested, harvest_folder, usual_out
from whorl.loop.manifest import bound_to, recipe_of
from whorl.loop.runfile import BY_POLICY
from whorl.loop.thoughts import AS_SAMPLED, Taught
from whorl.problem import Problem
from whorl.recipe import Recipe
from whorl.recipes import RECIPES, name_of
from whorl.settings.presets import presets_of, usual_training
from whorl.watch import Quiet, Watch
from whorl.watch.events import recorded


def grow(  # noqa: PLR0913 (what the command takes)
    problems: Path | str | Iterable[Problem],
    recipe: Recipe,
    engines: Mapping[Role, Engine | str],
    folder: Path | str,
    *,
    seed: int = 0,
    width: int = 256,
    processes: int = 1,
    budget: Budget | None = None,
    watch: Watch | None = None,
) -> Grown:
    """Grow a search tree for every problem into the run folder `folder`, or go on with those there.

    problems: or the file that holds them.
    engines: who answers each role: an engine, or the name of one, such as `local:models/small`,
        which is open as long as this lasts, in `processes` processes of its own. A judge is there,
        and the policy criticises and revises if nobody else does.
    seed, width: of the run, and how many searches are in flight.

    Replies are on disk before they are used, as `whorl grow` keeps them, so the same call goes on
    after any interruption. Raises `UserError` if a role has no engine or one that cannot be opened,
    and if `folder` belongs to other settings.
    """
    if "policy" in engines:  # as for the command
        usual = {role: engines["policy"] for role in BY_POLICY if role in recipe.roles}
        engines = {**usual, **engines}
    known = _Known(problems)
    budget = budget or Budget()
    named = {role: _identity(engine) for role, engine in engines.items()}
    for role in recipe.roles:
        if role not in engines:
            raise UserError(f"{name_of(recipe)} asks a {role}, and `engines` names none")
    said = bound_to(recipe, known.content, named, seed, budget)
    with (
        _opened(engines, processes) as by_role,
        RunFolder.open(Path(folder), said, version=__version__) as own,
    ):
        purse = Purse(budget, samples_at_most=recipe.samples_at_most)
        plan = GrowPlan(recipe, name_of(recipe), seed, width, purse)
        expected = sum(1 for _ in known.read())
        with recorded(watch or Quiet(), own.events, named) as told:
            grown = grow_trees(
                own, known.read(), plan, Here(by_role), watch=told, expected=expected
            )
    return grown


def harvest(
    folder: Path | str,
    recipe: Recipe | None = None,
    *,
    out: Path | str | None = None,
    round: int = 0,
    how: Taught = AS_SAMPLED,
) -> Harvested:
    """Harvest the trees of the run folder `folder` into the file of examples `out`.

    recipe: the one that grew the trees, as it was set, if not given.
    out: `examples.jsonl` in the folder if not given; beside it the counts are kept, for the report.
    round: of a run of rounds only this one, into an `out` of its own; all of them together if 0.
    how: what the examples keep of thoughts.

    Asks no model. Raises `UserError` if the folder holds no trees that the recipe can learn from,
    or if `out` is what the run learns from in a round.
    """
    own = RunFolder.read(Path(folder))
    file = Path(out) if out else usual_out(own, round)
    return harvest_folder(own, recipe or recipe_of(own), file, number=round, how=how)


def train(
    model: Path | str,
    examples: Path | str | Iterable[Example],
    out: Path | str,
    *,
    settings: Training | None = None,
    objective: Objective | None = None,
    watch: Watch | None = None,
) -> TrainResult:
    """Fine-tune a model on examples, into the model folder `out`.

    model: a folder, or a name as commands take it.
    examples: or the file that holds them.
    objective: if not given, that of the recipe that harvested the file, or where nothing says so
        preference for pairs and plain likelihood for completions.
    settings: if not given, those of that recipe, or those that are usual for the objective.

    The same call goes on after any interruption; see `learn.train.train` for what is raised.
    """
    file = Path(examples) if isinstance(examples, Path | str) else None
    rows = read_examples(file) if file else iter(cast(Iterable[Example], examples))
    first = next(rows, None)
    objective = objective or usual_objective(file, first)[0]
    from whorl.learn.train import train as fine_tune  # takes seconds

    return fine_tune(
        trainable(str(model)),
        chain([first], rows) if first else rows,
        named(Path(out)),
        settings=settings or usual_settings(file, objective),
        objective=objective,
        watch=watch,
    )


def usual_settings(file: Path | None, objective: Objective) -> Training:
    """The settings of a training if none are given: those of the recipe of whorl's own that
    harvested the file, by its default preset; otherwise what is usual for the objective."""
    name = purpose[0] if file and (purpose := read_purpose(file)) else ""
    if name in RECIPES:
        return next(iter(presets_of(RECIPES[name]).values())).train
    return usual_training(objective)


def usual_objective(file: Path | None, first: Example | None) -> tuple[Objective, str]:
    """The objective for examples if none is given, and what says so. file: that holds them; first:
    of them."""
    if file and (purpose := read_purpose(file)):
        recipe, objective = purpose
        return objective, f"of {recipe}, which harvested them"
    if isinstance(first, Pair):
        return Preference(), "as nothing says which recipe harvested these pairs"
    return Likelihood(), "as nothing says which recipe harvested these completions"


def measure(  # noqa: PLR0913 (what the command takes)
    model: Path | str,
    problems: Path | str | Iterable[Problem],
    out: Path | str,
    *,
    setup: Setup | None = None,
    seed: int = 0,
    processes: int = 1,
    allow_seen: bool = False,
    watch: Watch | None = None,
) -> list[Score]:
    """Attempt held-out problems with the engine called `model`, as `whorl evaluate` does; returns
    scores sorted by id.

    problems: or the file that holds them; those that no file holds are kept beside `out`.
    out: file of scores; what the model wrote is kept beside it.
    setup: the protocol; greedy decoding, one attempt, if not given.

    The same call goes on after any interruption. Raises `UserError` if `out` is of another model or
    setup and, unless `allow_seen`, if the model is known to be trained on a question.
    """
    model, out = str(model), named(Path(out))
    check(model)
    if not isinstance(problems, Path | str):
        file = out.with_suffix(".problems.jsonl")
        write_problems(file, problems)
        problems = file
    known = learned_among(Path(problems), model, allowed=allow_seen)
    exam = Exam(Path(problems), setup or Setup(), seed, known or ())
    with Opened(Engines(model, processes=processes)) as opened:
        return measure_policy(opened, exam, watch or Quiet(), out=out)


def learned_among(
    problems: Path, model: str, others: Sequence[Path] = (), *, allowed: bool = False
) -> list[str] | None:
    """Ids of the problems in a file that a model was trained on; None if its training is unknown.
    `others` is as in `trained_on`. Raises `UserError` if there are any and `allowed` is false."""
    known = trained_on(model, others)
    if not known:
        return None
    both = ids_among(read_problems(problems), known)
    if both and not allowed:
        raise UserError(
            f"{model} was trained on {len(both):,} of the questions in {problems}, the first: "
            f"{both[0]}; figures on them say nothing of others. Leave them out, or measure all the "
            "same with --allow-seen"
        )
    return both


class _Known:
    """Problems that can be read more than once, and the name of their content for the run
    folder."""

    def __init__(self, problems: Path | str | Iterable[Problem]) -> None:
        self._file = Path(problems) if isinstance(problems, Path | str) else None
        # found before there is a folder, which would be bound to a list that cannot be grown
        self._problems = () if isinstance(problems, Path | str) else tuple(distinct(problems))

    def read(self) -> Iterator[Problem]:
        return read_problems(self._file) if self._file else iter(self._problems)

    @property
    def content(self) -> str:
        if self._file:
            return content(self._file)
        digest = blake2b(digest_size=6)
        for problem in self._problems:
            digest.update(dumps(asdict(problem)).encode())
        return f"problems {digest.hexdigest()}"


def _identity(engine: Engine | str) -> str:
    """Name of an engine for the run folder: replies depend on it."""
    if not isinstance(engine, str):
        return type(engine).__name__
    check(engine)
    return model_content(engine)


@contextmanager
def _opened(engines: Mapping[Role, Engine | str], processes: int) -> Iterator[dict[str, Engine]]:
    """The engines by role, and a judge; engines that are given by name are closed at the end."""
    named = Engines(processes=processes)
    given: dict[str, Engine] = {}
    for role, engine in engines.items():
        if role not in get_args(Role):
            raise UserError(f"there is no role {role!r}; there are {', '.join(get_args(Role))}")
        if isinstance(engine, str):
            named = replace(named, **{role: engine})  # type: ignore[arg-type]
        else:
            given[role] = engine
    with Opened(named) as opened:
        yield {**opened.by_role(), **given}

"""Sampling a run: some of its problems are searched, attempted and trained on, and timed."""

import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from heapq import nsmallest
from itertools import islice
from pathlib import Path

from whorl import __version__
from whorl.budget import Spent, Usage
from whorl.data.examples import read_examples
from whorl.data.problems import read_problems, write_problems
from whorl.errors import UserError
from whorl.evaluate import Place, Setup, read_records
from whorl.evaluate.exam import Exam, measure
from whorl.loop.estimate import search_some
from whorl.loop.folder import RunFolder
from whorl.loop.forecast import Attempts, Sample, Scale
from whorl.loop.grow import Ready
from whorl.loop.harvest import distinct_examples, harvest
from whorl.loop.manifest import grown_from
from whorl.loop.rounds import watching
from whorl.loop.run import Run
from whorl.loop.split import Survey, held_out, lot
from whorl.problem import Problem
from whorl.recipe import arms_of
from whorl.watch import Progress, Quiet, Watch

_ATTEMPTED = 8  # test problems
_WATCHED = 4  # held-out problems, each of which is attempted several times
_STEPS = 4  # of training at least, where there are so many examples


def folder_of(run: Run) -> Path:
    """The folder of a run's sample, beside that of the run."""
    return run.folder.with_name(f"{run.folder.name}.plan")


def scale_of(run: Run, found: Survey) -> Scale:
    """The size of a run. found: counts of its problems."""
    return Scale(
        found.problems,
        len(arms_of(run.recipe)),
        run.rounds,
        exams=run.rounds + 1,
        test=sum(1 for _ in read_problems(run.test)) if run.test else 0,
        held=found.held,
        cumulative=run.starts == "first",
    )


def sample(run: Run, prepared: Ready, count: int, watch: Watch) -> Sample:
    """Measure a run on `count` of its problems, drawn by lot.

    What an earlier call asked is not asked again, and then no rate can be told from it, so the
    folder is emptied first. Raises `UserError` if nothing was grown.
    """
    path = folder_of(run)
    shutil.rmtree(path, ignore_errors=True)
    with RunFolder.open(path, grown_from(run), version=__version__) as folder:
        tried = search_some(run, prepared.crew, count, folder, watch)
        if not any(tried.tokens):
            why = next(iter(tried.failures.values()), "there are no problems")
            raise UserError(f"no tree could be grown to plan by: {why}")
        examples = _harvested(folder, run)
        size = sum(map(_bytes, (folder.trees, folder.journal, folder.examples)))
        test, held = _tested(run, prepared, path), _watched(run, prepared, path)
        trained, model = _trained(run, prepared, folder) if examples else (None, run.weights)
        weights = _bytes(model)
        shutil.rmtree(folder.path / "checkpoint", ignore_errors=True)
    usages = tried.spent.by_role.values()
    return Sample(
        tried.tokens,
        sum(usage.requests for usage in usages),
        sum(usage.prompt for usage in usages),
        tried.spent.amounts()["money"],
        size,
        tried.seconds,
        train_seconds=trained,
        epochs=run.train.epochs,
        model=weights,
        test=test,
        held=held,
    )


def _harvested(folder: RunFolder, run: Run) -> int:
    """How many examples the sample gives."""
    with suppress(UserError):  # of few trees a recipe may learn nothing, or say that it cannot
        found = harvest(folder.trees, run.recipe, folder.examples, setup=run.setup, how=run.harvest)
        return found.examples
    return 0


def _tested(run: Run, prepared: Ready, path: Path) -> Attempts | None:
    """Attempts at some problems of the test; None if the run has no test."""
    if run.test is None:
        return None
    some = islice(read_problems(run.test), _ATTEMPTED)
    return _attempted(run, prepared, path / "test.jsonl", some, run.setup)


def _watched(run: Run, prepared: Ready, path: Path) -> Attempts | None:
    """Attempts at some held-out problems, drawn by lot; None if the run holds none out."""
    if not run.patience:
        return None
    some = nsmallest(_WATCHED, held_out(run), key=lambda problem: lot(f"plan/{problem.id}"))
    return _attempted(run, prepared, path / "held-out.jsonl", some, watching(run))


def _attempted(
    run: Run, prepared: Ready, file: Path, problems: Iterable[Problem], setup: Setup
) -> Attempts:
    """Attempts at `problems`, which are written to `file` first, by the model that learns, before
    it has learned."""
    write_problems(file, problems)
    prepared.opened.follow(run.engines.measured())
    place, watch = Place(file.with_name(f"{file.stem}.scores.jsonl")), _Counter()
    began = time.monotonic()
    measure(prepared.opened, Exam(file, setup, run.seed, ()), watch, out=place.scores)
    seconds = time.monotonic() - began
    tokens = [
        float(sum(attempt.tokens for attempt in record.attempts))
        for record in read_records(place.attempts)
    ]
    read = watch.prompt_tokens
    spent = Spent(run.budget.prices)
    spent.add("policy", Usage(len(tokens), round(sum(tokens)), read, watch.cached_tokens))
    size = sum(map(_bytes, (file, place.scores, place.attempts)))
    return Attempts(tokens, read, spent.money, size, seconds)


class _Counter(Quiet):
    """A watch that counts the tokens that were read in a stage, once it has ended."""

    def __init__(self) -> None:
        self.prompt_tokens = self.cached_tokens = 0

    @contextmanager
    def stage(self, title: str, progress: Progress) -> Iterator[None]:
        yield
        self.prompt_tokens = sum(meter.prompt_tokens for meter in progress.meters)
        self.cached_tokens = sum(meter.cached_tokens for meter in progress.meters)


class Stopwatch(Quiet):
    """A watch that notes when the optimizer steps ended of which it is told: not of all, where a
    training is long."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends: list[tuple[int, float]] = []

    def training(self, step: int, steps: int, loss: float) -> None:
        self._ends.append((step, self._clock()))

    def per_step(self) -> float | None:
        """Seconds of a step, from the first to the last that was told; None of fewer than two."""
        if len(self._ends) < 2:
            return None
        (first, began), (last, ended) = self._ends[0], self._ends[-1]
        return (ended - began) / (last - first)


def _bytes(path: Path) -> int:
    """Size of a file, or of all files in a folder; 0 if there is none."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _trained(run: Run, prepared: Ready, folder: RunFolder) -> tuple[float | None, Path]:
    """Seconds of one epoch over the examples of the sample, and the folder of the model: those
    between the first and the last of several steps, for all of them. None if there are too few."""
    from whorl.learn.train import train  # takes seconds

    examples = [*distinct_examples(read_examples(folder.examples), run.recipe.objective)]
    # what a batch counts is divided: many examples may be of few states
    states = run.train.batch_of == "states"
    size = len({example.prompt for example in examples}) if states else len(examples)
    batch = min(run.train.batch, max(1, size // _STEPS))
    prepared.opened.rest()
    clock, out = Stopwatch(), folder.path / "checkpoint"
    result = train(
        run.weights,
        examples,
        out,
        settings=replace(run.train, epochs=1, holdout=0.0, batch=batch),
        objective=run.recipe.objective,
        watch=clock,
    )
    each = clock.per_step()
    return None if each is None else each * result.steps, out

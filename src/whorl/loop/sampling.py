"""Sampling a run: some of its problems are searched, attempted and trained on, and timed."""

import shutil
import time
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path

from whorl import __version__
from whorl.data.examples import read_examples
from whorl.data.problems import read_problems, write_problems
from whorl.errors import UserError
from whorl.evaluate import Place, read_records
from whorl.evaluate.exam import Exam, measure
from whorl.loop.estimate import search_some
from whorl.loop.folder import RunFolder
from whorl.loop.forecast import Sample, Scale
from whorl.loop.grow import Ready
from whorl.loop.harvest import distinct_examples, harvest
from whorl.loop.manifest import grown_from
from whorl.loop.run import Run
from whorl.recipe import arms_of
from whorl.watch import Quiet, Watch

_ATTEMPTED = 8  # test problems
_STEPS = 4  # of training at least, where there are so many examples


def folder_of(run: Run) -> Path:
    """The folder of a run's sample, beside that of the run."""
    return run.folder.with_name(f"{run.folder.name}.plan")


def scale_of(run: Run, problems: int) -> Scale:
    """The size of a run. problems: of a round."""
    test = sum(1 for _ in read_problems(run.test)) if run.test else 0
    return Scale(
        problems,
        len(arms_of(run.recipe)),
        run.rounds,
        exams=run.rounds + 1 if test else 0,
        test=test,
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
            why = next(iter(tried.failures.values()), tried.limit or "there are no problems")
            raise UserError(f"no tree could be grown to plan by: {why}")
        examples = _harvested(folder, run)
        size = sum(map(_bytes, (folder.trees, folder.journal, folder.examples)))
        exam = _attempted(run, prepared, path)
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
        exam_seconds=exam[0] if exam else None,
        exam_tokens=exam[1] if exam else 0.0,
    )


def _harvested(folder: RunFolder, run: Run) -> int:
    """How many examples the sample gives."""
    with suppress(UserError):  # of few trees a recipe may learn nothing, or say that it cannot
        found = harvest(folder.trees, run.recipe, folder.examples, setup=run.setup, how=run.harvest)
        return found.examples
    return 0


def _attempted(run: Run, prepared: Ready, path: Path) -> tuple[float, float] | None:
    """Seconds and sampled tokens for each of some test problems; None if the run has no test."""
    if run.test is None:
        return None
    some = path / "test.jsonl"
    count = write_problems(some, islice(read_problems(run.test), _ATTEMPTED))
    prepared.opened.follow(run.engines.measured())
    out, began = path / "scores.jsonl", time.monotonic()
    measure(prepared.opened, Exam(some, run.setup, run.seed, ()), Quiet(), out=out)
    seconds = time.monotonic() - began
    records = read_records(Place(out).attempts)
    tokens = sum(attempt.tokens for record in records for attempt in record.attempts)
    return seconds / count, tokens / count


class _Stopwatch(Quiet):
    """A watch that notes when optimizer steps end."""

    def __init__(self) -> None:
        self.steps: list[float] = []

    def training(self, step: int, steps: int, loss: float) -> None:
        self.steps.append(time.monotonic())


def _bytes(path: Path) -> int:
    """Size of a file, or of all files in a folder; 0 if there is none."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _trained(run: Run, prepared: Ready, folder: RunFolder) -> tuple[float | None, Path]:
    """Seconds of one epoch over the examples of the sample, and the folder of the model: those
    between the first and the last of several steps, for all of them. None if there are too few."""
    from whorl.learn.train import train  # takes seconds

    examples = [*distinct_examples(read_examples(folder.examples), run.recipe.objective)]
    batch = min(run.train.batch, max(1, len(examples) // _STEPS))
    prepared.opened.rest()
    clock, out = _Stopwatch(), folder.path / "checkpoint"
    result = train(
        run.weights,
        examples,
        out,
        settings=replace(run.train, epochs=1, holdout=0.0, batch=batch),
        objective=run.recipe.objective,
        watch=clock,
    )
    if len(clock.steps) < 2:
        return None, out
    return (clock.steps[-1] - clock.steps[0]) / (len(clock.steps) - 1) * result.steps, out

"""Exams: measuring a model on problems, resumable because what it wrote is kept."""

from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from whorl import __version__
from whorl.data.contamination import ids_among
from whorl.data.content import content
from whorl.data.problems import read_problems
from whorl.data.shard import Shard
from whorl.data.shown import check_examples
from whorl.drive import Finished
from whorl.engines.crew import Begun
from whorl.engines.journal import Journal
from whorl.engines.model import model_content
from whorl.engines.roles import Crews
from whorl.evaluate import (
    Place,
    Record,
    Score,
    Setup,
    attempted,
    in_order,
    read_scores,
    write_records,
)
from whorl.evaluate.seen import trained_on
from whorl.problem import Problem
from whorl.watch import Progress, Watch

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Exam:
    """An exam: problems, and how they are put to a model.

    seen: ids of the problems that it is known to be trained on; None: as its own folder says.
    title: what a watch calls it.
    """

    problems: Path
    setup: Setup = Setup()  # noqa: RUF009 (frozen)
    seed: int = 0
    seen: Sequence[str] | None = None
    title: str = "evaluate"


@dataclass(frozen=True, slots=True)
class Part:
    """Part of an exam: a shard of its problems, less those that others have done; replies in the
    journals of others serve."""

    shard: Shard = Shard(1, 1)  # noqa: RUF009 (frozen)
    done: Set[str] = frozenset()
    journals: Sequence[Journal] = ()


ALL = Part()


def measure(opened: Crews, exam: Exam, watch: Watch, *, out: Path, part: Part = ALL) -> list[Score]:
    """Attempt the problems of `exam`, or a part of them, with the `opened` policy; returns scores
    sorted by id.

    The problems are read once, into memory. Scores are kept in `out`, and every text beside it: see
    `Place`. The same call goes on after any interruption and asks nothing that was answered; if
    `out` is complete, it opens no engine and asks nothing at all. Raises `UserError` if `out` is of
    another model, other problems, another setup or seed, or is no name for scores.
    """
    check_examples(exam.setup.words, exam.problems)
    problems = list(read_problems(exam.problems))
    place = Place(out)
    place.check_name()
    if place.begin(_identity(opened.engines.policy, exam, problems)):
        return read_scores(place.scores)
    problems = [one for _, one in part.shard.part(problems) if one.id not in part.done]
    progress = Progress(total=len(problems))
    if problems:
        watch.say(f"{exam.title}: {len(problems):,} problems")
    with ExitStack() as stack:
        crew = opened.crew("policy")
        journal = stack.enter_context(Journal(place.journal, earlier=part.journals))
        stack.enter_context(watch.stage(exam.title, progress))

        def run(searches: Iterable[Begun[T]]) -> Iterator[Finished[T]]:
            ended = crew.drive(searches, journal, seed=exam.seed)
            progress.meters = crew.meters
            return ended

        def told() -> Iterator[Record]:
            for record in attempted(problems, exam.setup, run):
                if record.error:
                    progress.errors[record.problem.id] = record.error
                else:
                    progress.done += 1
                progress.recalled = journal.recalled
                yield record

        scores = write_records(
            place.attempts, in_order(told(), [problem.id for problem in problems])
        )
    place.end(scores)
    return read_scores(place.scores)


def tell_failed(scores: Iterable[Score], watch: Watch) -> int:
    """Say how many problems could not be attempted, if there are such; returns their number."""
    failed = sum(bool(score.error) for score in scores)
    if failed:
        watch.say(f"{failed:,} problems failed; the same command tries them again")
    return failed


def _identity(model: str, exam: Exam, problems: Sequence[Problem]) -> dict[str, object]:
    """Settings that scores depend on, and under `about` settings that make no difference."""
    both = exam.seen
    if both is None:
        both = ids_among(problems, trained_on(model))
    return {
        "model": model_content(model),
        "problems": content(exam.problems),
        "setup": {key: said for key, said in asdict(exam.setup).items() if key != "words"},
        "prompt": asdict(exam.setup.ask("QUESTION")),
        "seed": exam.seed,
        "about": {
            "model": model,
            "problems": str(exam.problems),
            "trained_on": len(both),
            "whorl": __version__,
        },
    }

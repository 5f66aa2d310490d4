"""Exams: measuring a model on problems, resumable because what it wrote is kept."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from whorl import __version__
from whorl.data.contamination import check_examples, ids_among
from whorl.data.content import content
from whorl.data.problems import read_problems
from whorl.engines.journal import Journal
from whorl.engines.meter import Meter
from whorl.engines.model import model_content
from whorl.engines.roles import Opened
from whorl.evaluate import (
    Place,
    Record,
    Score,
    Setup,
    attempt_problems,
    in_order,
    read_scores,
    write_records,
)
from whorl.evaluate.seen import trained_on
from whorl.problem import Problem
from whorl.watch import Progress, Watch


@dataclass(frozen=True, slots=True)
class Exam:
    """An exam: problems, and how they are put to a model.

    seen: ids of the problems that it is known to be trained on; None: as its own folder says.
    """

    problems: Path
    setup: Setup = Setup()  # noqa: RUF009 (frozen)
    seed: int = 0
    seen: Sequence[str] | None = None


def measure(opened: Opened, exam: Exam, watch: Watch, *, out: Path) -> list[Score]:
    """Attempt the problems of `exam` with the `opened` policy; returns scores sorted by id.

    The problems are read once, into memory. Scores are kept in `out`, and every text beside it: see
    `Place`. The same call goes on after any interruption and asks nothing that was answered; if
    `out` is complete, it opens no engine and asks nothing at all. Raises `UserError` if `out` is of
    another model, other problems, another setup or seed.
    """
    check_examples(exam.setup.words, exam.problems)
    problems = list(read_problems(exam.problems))
    place = Place(out)
    if place.begin(_identity(opened.engines.policy, exam, problems)):
        return read_scores(place.scores)
    progress = Progress(total=len(problems))
    with ExitStack() as stack:
        by_role = opened.by_role("policy")
        journal = stack.enter_context(Journal(place.journal))
        progress.meters = [Meter(engine) for engine in by_role.values()]
        asked = dict(zip(by_role, map(journal.wrap, progress.meters), strict=True))
        stack.enter_context(watch.stage("evaluate", progress))

        def attempted() -> Iterator[Record]:
            for record in attempt_problems(problems, asked, setup=exam.setup, seed=exam.seed):
                if record.error:
                    progress.errors[record.problem.id] = record.error
                else:
                    progress.done += 1
                progress.recalled = journal.recalled
                yield record

        scores = write_records(
            place.attempts, in_order(attempted(), [problem.id for problem in problems])
        )
    place.end(scores)
    return read_scores(place.scores)


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

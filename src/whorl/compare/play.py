"""Recipes compared at equal cost: the same base model, problems, number of sampled tokens, verifier
and evaluation, under several seeds.

What none of the papers reports jointly. Every sampled token counts: discarded branches, critiques,
revisions, rollouts, the small model and the PRM. A cheap recipe goes over the problems again under
another seed until its tokens are used up, an expensive one may not reach them all.

Everything lies in one folder, and what is there is not done again. A student depends on the tokens
it may use, not on what else was done in the folder, and is named by them. So more tokens make
further students beside those that are there, of trees that join those that are there:

    base/                            scores of the base model
    models.json                      the models that were asked, by their contents
    seed-0/trees/rft/                trees, a folder per pass over the problems
    seed-0/rft/225000/               examples, student and scores at 225,000 tokens
    seed-0/process/225000/           a round's student, and the trees that it grows for the next one
    seed-0/process/225000/450000/    the student of the next round, up to 450,000 tokens
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from whorl.compare.comparison import Comparison, check_comparison
from whorl.compare.findings import (
    Findings,
    MethodResult,
    has_student,
    read_both_scores,
    read_student,
)
from whorl.compare.jobs import one_thread, side_by_side
from whorl.compare.methods import original
from whorl.compare.same import hold_to, hold_to_words
from whorl.compare.spoken import Spoken
from whorl.compare.students import Part, TooFew, examine, examined, play_part
from whorl.engines.model import check_there, pending
from whorl.engines.roles import Opened, Opener, trainable
from whorl.errors import UserError
from whorl.loop.folder import RunFolder
from whorl.loop.trial import check_kinds
from whorl.recipe import asked_roles
from whorl.watch import Watch


def play_comparison(
    folder: RunFolder, comparison: Comparison, watch: Watch, *, where: Opener = Opened
) -> Findings:
    """Play a comparison in `folder`, or go on with the one there.

    where: opens the engines of each job, in that job's process. A crew on a cluster takes all the
    room there is, so give `comparison.jobs` = 1 with it.

    Seeds, recipes and tokens may be added later. Raises `UserError` if a role is not answered, and
    if the tokens do not last for a method's first tree; how many would is then found out for every
    method.
    """
    check_comparison(comparison)
    check_models(folder.path, comparison)
    short: list[TooFew] = []

    def lacking() -> Iterator[_Job]:
        for job in _jobs(folder.path, comparison, where):
            if not job.done():
                yield replace(job, only_try=bool(short))

    def failed(error: UserError) -> None:
        if not isinstance(error, TooFew):
            raise error
        short.append(error)

    side_by_side(lacking(), comparison.jobs, watch, failed)
    if short:
        each = ", ".join(f"{one.name}: {one.least:,}" for one in short)
        raise UserError(
            "the tokens do not last for one tree; it takes "
            f"--tokens {max(one.least for one in short)} at least ({each})"
        )
    return read_findings(folder.path, comparison)


def check_models(path: Path, comparison: Comparison, *, download: bool = True) -> list[str]:
    """Look at the models of what is not done yet, before hours go into it.

    Returns what has to be downloaded first, in words; with `download` that is done instead. Raises
    `UserError` unless the others are there and what they were when this comparison first asked
    them, in these words, and the one that learns can be trained.
    """
    hold_to_words(path, comparison.exams())
    lacking = [job for job in _jobs(path, comparison, Opened) if not job.done()]
    engines = comparison.engines
    parts = [part for job in lacking for part in job.parts]
    for part in parts:
        check_kinds(part.method.grow, engines.named())
    asked = {engines.named()[role] for part in parts for role in asked_roles(part.method.grow)}
    names = sorted({*asked, engines.learner} if lacking else ())
    waiting = {} if download else {name: line for name in names if (line := pending(name))}
    if parts and engines.learner not in waiting:
        trainable(engines.learner)
    there = [name for name in names if name not in waiting]
    for name in there:
        check_there(name)
    hold_to(path, there, write=download)
    return list(waiting.values())


def read_findings(path: Path, comparison: Comparison) -> Findings:
    """Read the results of a finished comparison."""
    parts = (
        Part(path, comparison, method, seed)
        for method in comparison.methods
        for seed in range(comparison.seeds)
    )
    results = [MethodResult(p.method, p.seed, list(map(read_student, p.homes()))) for p in parts]
    return Findings(read_both_scores(path / "base"), results)


@dataclass(frozen=True, slots=True)
class _Job:
    """A job: the parts of a comparison that share trees; without parts, the exams of the base
    model.

    where: opens the engines. only_try: whether the tokens last for a tree of each.
    """

    path: Path
    comparison: Comparison
    where: Opener
    parts: tuple[Part, ...] = ()
    only_try: bool = False

    @property
    def name(self) -> str:
        return f"{self.parts[0].method.forest}, seed {self.parts[0].seed}" if self.parts else "base"

    @property
    def thriftier(self) -> str:
        """Fewer jobs at once, and half the tokens at once in training."""
        fewer = ["--jobs 1"] if self.comparison.jobs > 1 else []
        halves = [
            f"--set {original(m.name) if m.control else m.name}.train.tokens={m.train.tokens // 2}"
            for m in (part.method for part in self.parts)
            if m.train.tokens > 1
        ]
        return " ".join(fewer + list(dict.fromkeys(halves)))

    def done(self) -> bool:
        if not self.parts:
            return examined(self.path / "base", self.comparison.exams())
        return all(has_student(home) for part in self.parts for home in part.homes())

    def run(self, watch: Watch) -> None:
        one_thread()
        with self.where(self.comparison.engines) as opened:
            if not self.parts:
                base = self.path / "base"
                base.mkdir(exist_ok=True)
                opened.follow(self.comparison.engines.measured())
                examine(base, self.comparison.exams(), opened, Spoken(watch, self.name))
            for part in self.parts:
                play_part(part, opened, Spoken(watch, part.name), only_try=self.only_try)


def _jobs(path: Path, comparison: Comparison, where: Opener) -> Iterator[_Job]:
    yield _Job(path, comparison, where)
    for seed in range(comparison.seeds):
        forests: dict[str, list[Part]] = {}
        for method in comparison.methods:
            part = Part(path, comparison, method, seed)
            forests.setdefault(method.forest, []).append(part)
        for parts in forests.values():
            yield _Job(path, comparison, where, tuple(parts))

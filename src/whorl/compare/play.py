"""Recipes compared at equal cost: one base model, the same problems, the same number of generated
tokens, the same verifier and evaluation, several seeds.

What none of the papers reports jointly (papers.md 5.6). Every sampled token counts: discarded
branches, critiques, revisions, rollouts, the small model and the PRM. A cheap recipe goes over the
problems again under another seed until its tokens are used up, an expensive one may not reach them
all. Everything lies in one folder, and what is there is not done again.
"""

import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from math import ceil
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from whorl import __version__, settings
from whorl.compare.budgeted import Budgeted, Clock, grow_within, keep
from whorl.compare.methods import TINY, Method, select
from whorl.compare.verdict import Outcome, Point, Result, Student
from whorl.data.atomic import replacing
from whorl.data.contamination import check_apart
from whorl.data.examples import read_examples
from whorl.data.problems import read_problems, write_problems
from whorl.data.synthetic import problems
from whorl.engines.roles import Engines, Opened, following, trainable
from whorl.errors import UserError
from whorl.evaluate import Decoding, Score, Setup, read_scores
from whorl.evaluate.exam import Exam, measure
from whorl.loop.folder import RunFolder
from whorl.loop.grow import Plan
from whorl.loop.harvest import harvest
from whorl.models import POLICY, TEACHER
from whorl.watch import Progress, Watch


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is compared, and on what.

    tokens: sampled tokens that each method may spend, per seed.
    often: problems to attempt several times, for pass@k; None: those of `test`.
    seeds: how many; each draws other samples and another order of training.
    evaluate: the attempts for pass@k; accuracy is that of one greedy attempt.
    width: searches in flight. jobs: methods at work at once, each in a process of its own.
    """

    problems: Path
    test: Path
    engines: Engines
    entries: tuple[Method, ...]
    tokens: int
    often: Path | None = None
    seeds: int = 3
    evaluate: Decoding = Decoding(n=8, temperature=0.8, top_p=0.95)  # noqa: RUF009 (frozen)
    width: int = 256
    jobs: int = 1

    def __post_init__(self) -> None:
        for name in ("tokens", "seeds", "width", "jobs"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} should be at least 1, not {getattr(self, name)}")
        if not self.entries:
            raise UserError("there is no recipe to compare")


@dataclass(frozen=True, slots=True)
class Size:
    """A comparison of the shipped models on made-up problems.

    names: of the recipes. test: problems to measure on; often: how many of them for pass@k.
    """

    names: tuple[str, ...]
    problems: int
    test: int
    often: int
    tokens: int
    seeds: int


SIZES = {
    "smoke": Size(("sigma", "rft"), problems=40, test=100, often=20, tokens=12_000, seeds=1),
    "small": Size(tuple(TINY), problems=150, test=1000, often=200, tokens=100_000, seeds=3),
}


ATTEMPTS = Decoding(n=8, temperature=0.8, top_p=0.95, max_tokens=256)
"""For pass@k of the shipped models."""


def made_up(folder: Path, size: Size, overrides: Sequence[str] = ()) -> Comparison:
    """The comparison of a size; writes its problems into `folder`. One job per core."""
    paths = {name: folder / f"{name}.jsonl" for name in ("problems", "test", "often")}
    write_problems(paths["problems"], problems("pool", size.problems, seed=0))
    write_problems(paths["test"], problems("test", size.test, seed=1))
    write_problems(paths["often"], problems("test", size.often, seed=1))
    policy, teacher = f"local:{POLICY}", f"local:{TEACHER}"
    return Comparison(
        paths["problems"],
        paths["test"],
        Engines(policy, critic=teacher, reviser=teacher, small=policy, processes=0),
        select(TINY, size.names, overrides),
        size.tokens,
        often=paths["often"],
        seeds=size.seeds,
        evaluate=ATTEMPTS,
        jobs=len(os.sched_getaffinity(0)),
    )


def compare(folder: RunFolder, comparison: Comparison, watch: Watch) -> Outcome:
    """Play a comparison in `folder`, or go on with the one there.

    Seeds and recipes may be added later. Raises `UserError` if a role is not answered, and if the
    tokens do not last for a method's first tree.
    """
    check(comparison)
    jobs = [job for job in _jobs(folder.path, comparison) if not job.done()]
    _side_by_side(jobs, comparison.jobs, watch)
    return read(folder.path, comparison)


def check(comparison: Comparison) -> None:
    """Raises `UserError` unless everyone who is asked is named and there are problems to work on
    and others to measure on."""
    for entry in comparison.entries:
        for role in entry.grow.roles:
            if not getattr(comparison.engines, role):
                raise UserError(f"{entry.name} asks a {role}: name one, --{role} local:FOLDER")
    for test in filter(None, (comparison.test, comparison.often)):
        check_apart(comparison.problems, test)


def read(path: Path, comparison: Comparison) -> Outcome:
    """What a finished comparison found."""
    results = []
    for entry in comparison.entries:
        for seed in range(comparison.seeds):
            students = []
            for number in range(1, len(entry.shares) + 1):
                place = _place(path, entry, seed) / f"{number}"
                point = Point(**json.loads((place / "point.json").read_text()))
                students.append(Student(point, *_scores(place)))
            results.append(Result(entry, seed, students))
    return Outcome(_scores(path / "base"), results)


@dataclass(frozen=True, slots=True)
class _Job:
    """Work that is done in one process: the methods that share trees, under one seed; without a
    method, the base model's evaluation.

    only_try: whether the tokens last for a tree of each.
    """

    path: Path
    comparison: Comparison
    entries: tuple[Method, ...] = ()
    seed: int = 0
    only_try: bool = False

    @property
    def name(self) -> str:
        return f"{self.entries[0].forest}, seed {self.seed}" if self.entries else "base"

    def done(self) -> bool:
        if not self.entries:
            return (self.path / "base" / "sampled.jsonl").exists()
        places = [_place(self.path, e, self.seed) / f"{len(e.shares)}" for e in self.entries]
        return all((place / "point.json").exists() for place in places)

    def run(self, watch: Watch) -> None:
        with Opened(self.comparison.engines) as opened:
            if not self.entries:
                base = self.path / "base"
                base.mkdir(exist_ok=True)
                _measure(base, self.comparison, opened, watch)
            for entry in self.entries:
                _play(self, entry, opened, watch)


def _jobs(path: Path, comparison: Comparison) -> Iterator[_Job]:
    forests: dict[str, list[Method]] = {}
    for entry in comparison.entries:
        forests.setdefault(entry.forest, []).append(entry)
    yield _Job(path, comparison)
    for seed in range(comparison.seeds):
        for entries in forests.values():
            yield _Job(path, comparison, tuple(entries), seed)


def _place(path: Path, entry: Method, seed: int) -> Path:
    return path / f"seed-{seed}" / entry.name


class _TooFew(UserError):
    """The tokens do not last for one tree of a method under a seed, and how many would."""

    def __init__(self, name: str, least: int) -> None:
        super().__init__(name, least)
        self.name, self.least = name, least


def _play(job: _Job, entry: Method, opened: Opened, watch: Watch) -> None:
    """Every student of a method under one seed."""
    path, comparison, seed = job.path, job.comparison, job.seed
    searching = comparison.engines
    asked = list(read_problems(comparison.problems))
    place = _place(path, entry, seed)
    forest = path / f"seed-{seed}" / "trees" / entry.forest
    spent = 0
    last: Path | None = None
    with RunFolder.open(place, settings.say(entry), version=__version__):
        for number, share in enumerate(entry.shares, start=1):
            home = place / f"{number}"
            home.mkdir(exist_ok=True)
            forest = home / "trees" if entry.rounds else forest
            budget = int(comparison.tokens * share) - spent
            first = 1_000_000 * seed + 1000 * (number if entry.rounds else 0)
            plan = Plan(entry.grow, entry.forest, first, comparison.width)
            opened.follow(searching)
            for gathered in grow_within(forest, asked, opened, plan, budget, last):
                passes = gathered.passes
                watch.say(
                    f"{plan.name}: {sum(passes):,} trees in {len(passes)} passes, "
                    f"{gathered.tokens:,} tokens so far"
                )
            if not gathered.passes:
                least = ceil((spent + gathered.left_out) / share)
                raise _TooFew(f"{entry.name}, seed {seed}", least)
            if job.only_try:
                return
            if not (home / "point.json").exists():
                clock = Clock()
                opened.rest()
                student = _learn(home, entry, gathered, forest, searching.policy, seed)
                policy = following(searching.policy, student.model)
                opened.follow(replace(searching, policy=policy))
                _measure(home, comparison, opened, watch)
                wall, cpu = clock.read()
                point = replace(
                    student.point,
                    tokens=spent + gathered.tokens,
                    wall=gathered.wall + wall,
                    cpu=gathered.cpu + cpu,
                )
                with replacing(home / "point.json") as file:
                    file.write(json.dumps(asdict(point), indent=2).encode() + b"\n")
                watch.say(f"{entry.name}, seed {seed}: measured at {point.tokens:,} tokens")
            if entry.rounds:
                spent, last = spent + gathered.tokens, home / "last.jsonl"
                keep(last, gathered.passes[:1], forest)
                if (home / "checkpoint").exists():
                    policy = following(searching.policy, home / "checkpoint")
                    searching = replace(searching, policy=policy)


@dataclass(frozen=True, slots=True)
class _Learned:
    """A student's folder, and what is known of it before it is measured."""

    model: Path
    point: Point


def _learn(
    home: Path,
    entry: Method,
    gathered: Budgeted,
    forest: Path,
    policy: str,
    seed: int,
) -> _Learned:
    """Harvest the trees that count and train; without examples the student is who it was."""
    from whorl.learn.train import train  # takes seconds

    trees, examples = home / "trees.jsonl", home / "examples.jsonl"
    keep(trees, gathered.passes, forest)
    harvested = harvest(trees, entry.harvest, examples)
    trees.unlink()
    model, learned, tokens = trainable(policy), 0, 0
    if harvested.examples:
        training = replace(entry.train, seed=entry.train.seed + seed)
        objective = entry.harvest.objective
        base, model = model, home / "checkpoint"
        result = train(base, read_examples(examples), model, settings=training, objective=objective)
        learned, tokens = result.examples, result.tokens * training.epochs
    point = Point(
        tokens=gathered.tokens,
        left_out=gathered.left_out,
        problems=gathered.problems,
        passes=len(gathered.passes),
        trees=sum(gathered.passes),
        failed=gathered.failed,
        examples=learned,
        trained_tokens=tokens,
        dropped=harvested.dropped,
        tally=harvested.tally,
        wall=0.0,
        cpu=0.0,
    )
    return _Learned(model, point)


def _measure(home: Path, comparison: Comparison, opened: Opened, watch: Watch) -> None:
    """Attempt the test problems once greedily, then several times; what is there is kept."""
    sampled = comparison.evaluate
    greedy = replace(sampled, n=1, temperature=0.0, top_p=1.0)
    often = comparison.often or comparison.test
    for name, test, decoding in (("greedy", comparison.test, greedy), ("sampled", often, sampled)):
        file = home / f"{name}.jsonl"
        if not file.exists():
            measure(opened, Exam(test, Setup(decoding=decoding)), watch, out=file)


def _scores(home: Path) -> tuple[Sequence[Score], Sequence[Score]]:
    return read_scores(home / "greedy.jsonl"), read_scores(home / "sampled.jsonl")


def _side_by_side(jobs: Sequence[_Job], most: int, watch: Watch) -> None:
    """Do the jobs, `most` at once, each in a process of its own; the first that fails ends all, but
    where tokens do not last for a tree the others are tried too, to say how many would."""
    short: list[_TooFew] = []
    context = multiprocessing.get_context("spawn")
    queue = list(jobs)[::-1]
    running: dict[Connection, SpawnProcess] = {}
    try:
        while queue or running:
            while queue and len(running) < most:
                job = replace(queue.pop(), only_try=bool(short))
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(job, theirs), name=job.name)
                process.start()
                theirs.close()
                running[ours] = process
            for pipe in wait(list(running)):
                assert isinstance(pipe, Connection)
                try:
                    line = pipe.recv()
                except EOFError:
                    process = running.pop(pipe)
                    process.join()
                    if process.exitcode:
                        raise RuntimeError(
                            f"the process of {process.name} ended with code {process.exitcode}"
                        ) from None
                    continue
                if isinstance(line, _TooFew):
                    short.append(line)
                elif isinstance(line, UserError):
                    raise line
                else:
                    watch.say(line)
        if short:
            each = ", ".join(f"{one.name}: {one.least:,}" for one in short)
            raise UserError(
                "the tokens do not last for one tree; it takes "
                f"--tokens {max(one.least for one in short)} at least ({each})"
            )
    finally:
        for process in running.values():
            process.terminate()
            process.join()


def _work(job: _Job, pipe: Connection) -> None:
    """The child: one thread, deaf to Ctrl-C, which is the parent's to handle, and not outliving
    it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(1)
    try:
        job.run(_Speaker(pipe))
    except UserError as error:
        pipe.send(error)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


class _Speaker:
    """Watches in a child: passes on what is said, and how each stage ended."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    @contextmanager
    def stage(self, title: str, progress: Progress) -> Iterator[None]:
        yield

    def training(self, step: int, steps: int, loss: float) -> None: ...

    def wrote(self, path: Path, what: str) -> None: ...

    def say(self, line: str) -> None:
        self._pipe.send(line)

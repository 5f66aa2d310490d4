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
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import accumulate, islice
from math import ceil
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from whorl import __version__, iterate, settings, stages
from whorl.ask import Engine
from whorl.data.atomic import replacing
from whorl.data.contamination import check_apart
from whorl.data.examples import read_examples
from whorl.data.forest import read_trees
from whorl.data.problems import read_problems, write_problems
from whorl.data.synthetic import problems
from whorl.entries import TINY, Entry, select
from whorl.errors import UserError
from whorl.evaluate import (
    Decoding,
    Paired,
    Rate,
    Score,
    Setup,
    paired,
    paired_over,
    pass_rate,
    pass_rate_over,
    read_scores,
)
from whorl.folder import RunFolder
from whorl.iterate import Engines, Watch
from whorl.models import POLICY, TEACHER
from whorl.problem import Problem
from whorl.stages import Plan, Progress
from whorl.tree import Tree

KS = (1, 4, 8)
"""Pass@k is told for these k, as far as there are so many samples."""


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
    entries: tuple[Entry, ...]
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


@dataclass(frozen=True, slots=True)
class Gathered:
    """Trees within a budget.

    passes: how many trees count of each pass over the problems, the first ones in problem order.
    problems: that have a tree. failed: searches that ended in an error.
    tokens: sampled for them. left_out: for trees that were grown and would exceed the budget.
    wall, cpu: seconds of the call that finished growing.
    """

    passes: Sequence[int] = ()
    problems: int = 0
    failed: int = 0
    tokens: int = 0
    left_out: int = 0
    wall: float = 0.0
    cpu: float = 0.0


@dataclass(frozen=True, slots=True)
class Point:
    """One student of a method and what it took.

    tokens: sampled for this student and those before it; left_out: sampled and not used.
    problems, passes, trees, failed: of this student's trees; a pass may have been cut short.
    examples: learned from. trained_tokens: their completions' tokens, times the epochs.
    dropped, tally: of the harvest.
    wall, cpu: seconds of growing, training and measuring since the student before.
    """

    tokens: int
    left_out: int
    problems: int
    passes: int
    trees: int
    failed: int
    examples: int
    trained_tokens: int
    dropped: Mapping[str, int]
    tally: Mapping[str, int]
    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Student:
    """A point with its scores: greedy, and sampled for pass@k."""

    point: Point
    greedy: Sequence[Score]
    sampled: Sequence[Score]


@dataclass(frozen=True, slots=True)
class Result:
    """One method under one seed; the last student has used all the tokens."""

    entry: Entry
    seed: int
    students: Sequence[Student]

    @property
    def last(self) -> Student:
        return self.students[-1]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a comparison found; results in the order of entries, then seeds."""

    base: tuple[Sequence[Score], Sequence[Score]]
    results: Sequence[Result]

    def ks(self) -> list[int]:
        """The k that there are attempts enough for."""
        return [k for k in KS if k <= max(len(score.right) for score in self.base[1])]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of a method: of one seed, or of all of them.

    accuracy: of a greedy attempt. passed: k -> pass@k.
    against_base, against_rft: of the greedy attempts; the latter pairs students of the same seed,
        and is None without RFT and for RFT itself.
    """

    accuracy: Rate
    passed: Mapping[int, Rate]
    against_base: Paired
    against_rft: Paired | None


def judge(outcome: Outcome, result: Result) -> Verdict:
    """One method under one seed. Intervals and tests are those of `pass_rate` and `paired`."""
    rft = _rft(outcome, result)
    greedy, sampled = result.last.greedy, result.last.sampled
    return Verdict(
        pass_rate(greedy, 1),
        {k: pass_rate(sampled, k) for k in outcome.ks()},
        paired(outcome.base[0], greedy),
        paired(rft.last.greedy, greedy) if rft else None,
    )


def pool(outcome: Outcome, results: Sequence[Result]) -> Verdict:
    """One method over its seeds. Intervals and tests are those of `pass_rate_over` and
    `paired_over`."""
    rfts = [_rft(outcome, result) for result in results]
    pairs = [
        (rft.last.greedy, result.last.greedy)
        for rft, result in zip(rfts, results, strict=True)
        if rft
    ]
    return Verdict(
        pass_rate_over([result.last.greedy for result in results], 1),
        {k: pass_rate_over([r.last.sampled for r in results], k) for k in outcome.ks()},
        paired_over([(outcome.base[0], result.last.greedy) for result in results]),
        paired_over(pairs) if pairs else None,
    )


def _rft(outcome: Outcome, result: Result) -> Result | None:
    found = (r for r in outcome.results if r.entry.name == "rft" and r.seed == result.seed)
    return None if result.entry.name == "rft" else next(found, None)


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
    entries: tuple[Entry, ...] = ()
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
        if not self.entries:
            base = self.path / "base"
            base.mkdir(exist_ok=True)
            _measure(base, self.comparison, self.comparison.engines.policy, watch)
        for entry in self.entries:
            _play(self, entry, watch)


def _jobs(path: Path, comparison: Comparison) -> Iterator[_Job]:
    forests: dict[str, list[Entry]] = {}
    for entry in comparison.entries:
        forests.setdefault(entry.forest, []).append(entry)
    yield _Job(path, comparison)
    for seed in range(comparison.seeds):
        for entries in forests.values():
            yield _Job(path, comparison, tuple(entries), seed)


def _place(path: Path, entry: Entry, seed: int) -> Path:
    return path / f"seed-{seed}" / entry.name


class _TooFew(UserError):
    """The tokens do not last for one tree of a method under a seed, and how many would."""

    def __init__(self, name: str, least: int) -> None:
        super().__init__(name, least)
        self.name, self.least = name, least


def _play(job: _Job, entry: Entry, watch: Watch) -> None:
    """Every student of a method under one seed."""
    path, comparison, seed = job.path, job.comparison, job.seed
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
            gathered = _gather(forest, comparison, plan, budget, last, watch)
            if not gathered.passes:
                least = ceil((spent + gathered.left_out) / share)
                raise _TooFew(f"{entry.name}, seed {seed}", least)
            if job.only_try:
                return
            if not (home / "point.json").exists():
                clock = _Clock()
                student = _learn(home, entry, gathered, forest, comparison, seed)
                _measure(home, comparison, student.model, watch)
                wall, cpu = clock.read()
                point = replace(
                    student.point,
                    tokens=spent + gathered.tokens,
                    wall=gathered.wall + wall,
                    cpu=gathered.cpu + cpu,
                )
                _write(home / "point.json", point)
                watch.say(f"{entry.name}, seed {seed}: measured at {point.tokens:,} tokens")
            if entry.rounds:
                spent, last = spent + gathered.tokens, home / "last.jsonl"
                _keep(last, gathered.passes[:1], forest)
                if (home / "checkpoint").exists():
                    policy = f"local:{home / 'checkpoint'}"
                    engines = replace(comparison.engines, policy=policy)
                    comparison = replace(comparison, engines=engines)


def _gather(
    path: Path, comparison: Comparison, plan: Plan, budget: int, last: Path | None, watch: Watch
) -> Gathered:
    """Grow trees in problem order, pass after pass, until the next one would exceed `budget`.

    last: trees of the round before, for the first pass. More budget adds to the trees there are.
    """
    record = path / f"{budget}.json"
    if record.exists():
        return Gathered(**json.loads(record.read_text()))
    asked = list(read_problems(comparison.problems))
    clock = _Clock()
    passes: list[int] = []
    spent = left_out = failed = 0
    with iterate.opened(comparison.engines) as engines:
        while not left_out:
            number = len(passes) + 1
            left = budget - spent
            own = replace(plan, seed=plan.seed + number)
            said = {"recipe": settings.say(plan.recipe), "seed": own.seed}
            said["policy"] = comparison.engines.policy
            with RunFolder.open(path / f"{number}", said, version=__version__) as folder:
                costs, missed = grow_within(folder, asked, own, engines, left, last)
                failed += missed
            fit = sum(total <= left for total in accumulate(costs))
            if not costs:
                raise UserError(f"{plan.name}: no search succeeded, see {folder.failures}")
            passes += [fit] if fit else []
            spent += sum(costs[:fit])
            left_out, last = sum(costs[fit:]), None
            watch.say(f"{plan.name}, pass {number}: {fit:,} trees, {spent:,} tokens so far")
    reached = len({tree.problem.id for tree in _counted(path, passes)})
    gathered = Gathered(passes, reached, failed, spent, left_out, *clock.read())
    _write(record, gathered)
    return gathered


def grow_within(
    folder: RunFolder,
    problems: Sequence[Problem],
    plan: Plan,
    engines: Mapping[str, Engine],
    budget: int,
    last: Path | None,
) -> tuple[list[int], int]:
    """Grow trees, some problems at a time, until they exceed the budget or no problem is left;
    returns what each cost, in problem order, and how many searches failed.

    How many are started depends on the costs of those before alone, so the trees are the same
    however often the work is interrupted.
    """
    costs: list[int] = []
    started = failed = 0
    while started < len(problems) and sum(costs) <= budget:
        more = 8 * started
        if costs:  # at the mean cost so far, less a fifth: the mean is only an estimate
            more = min(more, int(0.8 * (budget - sum(costs)) * started / sum(costs)))
        started = min(len(problems), started + max(1, more))
        now = problems[:started]
        grown = stages.grow(folder, partial(iter, now), plan, engines, last=last)
        failed = len(grown.failures)
        ids = {problem.id for problem in now}
        trees = read_trees(folder.trees)
        costs = [sum(tree.cost.values()) for tree in trees if tree.problem.id in ids]
    return costs, failed


def _counted(path: Path, passes: Sequence[int]) -> Iterator[Tree]:
    """The trees that count, pass by pass."""
    for number, count in enumerate(passes, start=1):
        yield from islice(read_trees(path / f"{number}" / "trees.jsonl"), count)


def _keep(file: Path, passes: Sequence[int], path: Path) -> None:
    with replacing(file) as out:
        for tree in _counted(path, passes):
            out.write(tree.to_json().encode() + b"\n")


@dataclass(frozen=True, slots=True)
class _Learned:
    """A student's folder, and what is known of it before it is measured."""

    model: Path
    point: Point


def _learn(
    home: Path,
    entry: Entry,
    gathered: Gathered,
    forest: Path,
    comparison: Comparison,
    seed: int,
) -> _Learned:
    """Harvest the trees that count and train; without examples the student is who it was."""
    from whorl.learn.train import train  # takes seconds

    trees, examples = home / "trees.jsonl", home / "examples.jsonl"
    _keep(trees, gathered.passes, forest)
    harvested = stages.harvest(trees, entry.harvest, examples)
    trees.unlink()
    model, learned, tokens = iterate.model_folder(comparison.engines.policy), 0, 0
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


def _measure(home: Path, comparison: Comparison, model: Path | str, watch: Watch) -> None:
    """Attempt the test problems once greedily, then several times; what is there is kept."""
    spec = model if isinstance(model, str) else f"local:{model}"
    engines = replace(comparison.engines, policy=spec)
    sampled = comparison.evaluate
    greedy = replace(sampled, n=1, temperature=0.0, top_p=1.0)
    often = comparison.often or comparison.test
    for name, test, decoding in (("greedy", comparison.test, greedy), ("sampled", often, sampled)):
        file = home / f"{name}.jsonl"
        if not file.exists():
            iterate.measure(engines, test, Setup(decoding=decoding), watch, out=file)


def _scores(home: Path) -> tuple[Sequence[Score], Sequence[Score]]:
    return read_scores(home / "greedy.jsonl"), read_scores(home / "sampled.jsonl")


def _write(path: Path, facts: Gathered | Point) -> None:
    with replacing(path) as file:
        file.write(json.dumps(asdict(facts), indent=2).encode() + b"\n")


class _Clock:
    """Seconds since it was made: of the wall, and of this process."""

    def __init__(self) -> None:
        self._start = time.monotonic(), time.process_time()

    def read(self) -> tuple[float, float]:
        return time.monotonic() - self._start[0], time.process_time() - self._start[1]


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

"""The students of one method under one seed: grow within a share of the tokens, harvest, train,
examine."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from pathlib import Path
from random import Random
from typing import Any

from whorl import __version__, settings
from whorl.compare.budgeted import Budgeted, counted, grow_within, write_counted
from whorl.compare.clock import Clock
from whorl.compare.comparison import Comparison
from whorl.compare.controls import spoilt
from whorl.compare.findings import Point, has_student, write_point
from whorl.compare.methods import Method
from whorl.data.examples import read_examples, write_examples
from whorl.data.problems import read_problems
from whorl.engines.roles import Crews, Engines, trainable
from whorl.errors import UserError
from whorl.evaluate import Place
from whorl.evaluate.exam import Exam, measure, tell_failed
from whorl.learn.training import EXECUTION
from whorl.loop.folder import RunFolder
from whorl.loop.grow import GrowPlan
from whorl.loop.harvest import harvest
from whorl.tree import Tree
from whorl.watch import Watch


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a comparison: a method under one seed. path: the comparison's folder."""

    path: Path
    comparison: Comparison
    method: Method
    seed: int

    @property
    def name(self) -> str:
        return f"{self.method.name}, seed {self.seed}"

    @property
    def folder(self) -> Path:
        return self.path / f"seed-{self.seed}" / self.method.name

    @property
    def first_seed(self) -> int:
        """The seed of the searches of a method without rounds, and of what its controls draw; those
        of a round add to it."""
        return 1_000_000 * self.seed

    def homes(self) -> Iterator[Path]:
        """The folders of the students, named by the tokens that each may use. In rounds a student's
        folder lies in that of the student before."""
        home = self.folder
        for share in self.method.shares:
            student = home / f"{int(self.comparison.tokens * share)}"
            yield student
            home = student if self.method.rounds else home


class TooFew(UserError):
    """Raised if the tokens do not last for one tree of the part called `name`; `least` tokens
    would."""

    def __init__(self, name: str, least: int) -> None:
        super().__init__(name, least)
        self.name, self.least = name, least


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a student's trees begin: with which policy, after which trees.

    forest: their folder. engines: that grow them, the policy among them. seed: of their searches.
    spent: tokens of the rounds before. last: trees of the round before.
    """

    forest: Path
    engines: Engines
    seed: int
    spent: int = 0
    last: Path | None = None


def play_part(part: Part, opened: Crews, watch: Watch, *, only_try: bool = False) -> None:
    """Make every student of a method under one seed, unless it is there already.

    only_try: stop when the first tree is within the tokens. Raises `TooFew` if it is not.
    """
    method = part.method
    start = _Start(
        part.folder.parent / "trees" / method.forest,
        part.comparison.engines,
        part.first_seed + (1000 if method.rounds else 0),
    )
    with RunFolder.open(part.folder, bound_to(method), version=__version__):
        for home, share in zip(part.homes(), method.shares, strict=True):
            home.mkdir(exist_ok=True)
            grown = _grow(part, start, share, opened, watch)
            if only_try:
                return
            if not has_student(home):
                point = _make_student(home, part, start, grown, opened, watch)
                watch.say(f"measured at {point.tokens:,} tokens")
            if method.rounds:
                start = _next_round(home, start, grown)


def bound_to(method: Method) -> dict[str, object]:
    """The settings that a method's students depend on, for the manifest of their folder: how
    weights are computed, such as the tokens in one forward pass, may change between two calls."""
    table: dict[str, Any] = settings.as_table(method)
    train = {name: value for name, value in table["train"].items() if name not in EXECUTION}
    return table | {"train": train}


def _grow(part: Part, start: _Start, share: float, opened: Crews, watch: Watch) -> Budgeted:
    """Grow the trees of a student: as many as its share of the tokens allows."""
    comparison, method = part.comparison, part.method
    asked = list(read_problems(comparison.problems))
    plan = GrowPlan(method.grow, method.forest, start.seed, comparison.width, last=start.last)
    budget = int(comparison.tokens * share) - start.spent
    opened.follow(start.engines)
    grown = Budgeted()
    for grown in grow_within(start.forest, asked, opened, plan, budget, watch):
        trees, passes = sum(map(len, grown.passes)), len(grown.passes)
        watch.say(
            f"{trees:,} trees in {passes} {'pass' if passes == 1 else 'passes'}, "
            f"{grown.tokens:,} tokens so far"
        )
    if not grown.passes:
        raise TooFew(part.name, ceil((start.spent + grown.left_out) / share))
    return grown


def _make_student(
    home: Path, part: Part, start: _Start, grown: Budgeted, opened: Crews, watch: Watch
) -> Point:
    """Harvest the trees within the budget, train, and measure the student."""
    opened.rest()
    with Clock(home / "begun.json") as clock:
        trees, examples = home / "trees.jsonl", home / "examples.jsonl"
        write_counted(trees, _as_read(part, start, grown))
        harvested = harvest(trees, part.method.harvest, examples, setup=part.comparison.setup)
        trees.unlink()
        for remark in harvested.remarks:
            watch.say(remark)
        watch.say(f"train: {harvested}")
        learner = start.engines.learner
        trained = train_student(home, examples, learner, part.method, part.seed, watch)
        opened.follow(start.engines.taught(trained.model).measured())
        clock.complete = examine(home, part.comparison.exams(), opened, watch)
        wall, cpu = clock.read()
        point = Point(
            tokens=start.spent + grown.tokens,
            left_out=grown.left_out,
            problems=grown.problems,
            passes=len(grown.passes),
            trees=sum(map(len, grown.passes)),
            failed=grown.failed,
            cost=harvested.cost,
            examples=trained.examples,
            trained_tokens=trained.tokens,
            dropped=harvested.dropped,
            tally=harvested.tally,
            entropy=harvested.variety.entropy,
            growing_wall=grown.wall,
            growing_cpu=grown.cpu,
            wall=wall,
            cpu=cpu,
        )
        write_point(home, point)
    return point


def _as_read(part: Part, start: _Start, grown: Budgeted) -> Iterator[Tree]:
    """The trees of a student as its method reads them: as they are, or as its control has them."""
    method, trees = part.method, partial(counted, start.forest, grown.passes)
    if method.control is None:
        return trees()
    return spoilt(trees, method.control, method.harvest, part.first_seed)


def _next_round(home: Path, start: _Start, grown: Budgeted) -> _Start:
    """The start of the next round: this round's student, if it has learned anything."""
    last, engines = home / "last.jsonl", start.engines
    if not last.exists():
        write_counted(last, counted(start.forest, grown.passes[:1]))
    if (home / "checkpoint").exists():
        engines = engines.taught(home / "checkpoint")
    spent = start.spent + grown.tokens
    return _Start(home / "trees", engines, start.seed + 1000, spent, last)


@dataclass(frozen=True, slots=True)
class Trained:
    """The weights of a student and the examples that made them.

    model: the folder of the weights. tokens: of the examples' completions, times the epochs.
    """

    model: Path
    examples: int = 0
    tokens: int = 0


def draw_examples(examples: Path, learned: Path, count: int, seed: int) -> None:
    """Write `count` random examples of a file into the file `learned`, in their order. Raises
    `UserError` if there are fewer."""
    found = list(read_examples(examples))
    if len(found) < count:
        raise UserError(f"{examples} has {len(found)} examples; ask for no more than that")
    chosen = sorted(Random(seed).sample(range(len(found)), count))
    write_examples(learned, (found[i] for i in chosen))


def train_student(
    home: Path, examples: Path, start: str, method: Method, seed: int, watch: Watch
) -> Trained:
    """Train the model of the engine `start` on a file of examples, into `home/checkpoint`. From an
    empty file nothing is learned: it stays as it is."""
    from whorl.learn.train import train  # takes seconds

    base, model = trainable(start), home / "checkpoint"
    if not examples.stat().st_size:
        return Trained(base)
    result = train(
        base,
        read_examples(examples),
        model,
        settings=replace(method.train, seed=method.train.seed + seed),
        objective=method.harvest.objective,
        watch=watch,
    )
    tokens = result.tokens * method.train.epochs
    return Trained(model, result.examples, tokens)


def examine(home: Path, exams: Mapping[str, Exam], opened: Crews, watch: Watch) -> bool:
    """Measure the `opened` policy by every exam whose scores are not there yet; scores go to
    `NAME.jsonl` in the folder `home`. Returns whether all problems could be attempted; those that
    could not are tried again by the next call."""
    for name, exam in exams.items():
        if not examined(home, [name]):
            tell_failed(measure(opened, exam, watch, out=home / f"{name}.jsonl"), watch)
    return examined(home, exams)


def examined(home: Path, exams: Iterable[str]) -> bool:
    """Whether the folder `home` has scores of all problems, by exams of these names."""
    return all(Place(home / f"{name}.jsonl").complete for name in exams)

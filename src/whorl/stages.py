"""The stages of a run: each reads files and writes files, so each can be rerun or replaced."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from whorl import __version__
from whorl.ask import Engine, Moves
from whorl.budget import SPENT, Budget, Purse
from whorl.data.atomic import replacing
from whorl.data.examples import write_examples
from whorl.data.forest import Forest, Key, read_trees
from whorl.drive import drive
from whorl.engines.meter import Meter
from whorl.example import Example
from whorl.folder import RunFolder
from whorl.journal import Journal
from whorl.problem import Problem
from whorl.recipe import Recipe
from whorl.tree import Tree


@dataclass(frozen=True, slots=True)
class Plan:
    """How to grow: the recipe and its name, the run's seed, how many searches are in flight, and
    the purse that pays for them."""

    recipe: Recipe
    name: str
    seed: int = 0
    width: int = 256
    purse: Purse = field(default_factory=lambda: Purse(Budget()))


@dataclass(slots=True)
class Progress:
    """Live counts of a stage, for whoever shows them; the stage only writes, they only read.

    total: searches to do; done: ended well, failed: ended in an error; short: of those done, cut
    short by a budget; found: done by an earlier run; recalled: asks answered from the journal;
    purse: what pays.
    """

    total: int = 0
    done: int = 0
    failed: int = 0
    short: int = 0
    found: int = 0
    recalled: int = 0
    meters: list[Meter] = field(default_factory=list)
    purse: Purse | None = None

    @property
    def tokens(self) -> int:
        """Tokens generated so far; what the journal knew is not among them."""
        return sum(meter.tokens for meter in self.meters)

    @property
    def in_flight(self) -> int:
        """Asks that wait for an answer now."""
        return sum(meter.in_flight for meter in self.meters)

    @property
    def cached(self) -> float | None:
        """Share of the prompts' tokens that engines knew from before; None if they do not say."""
        read = sum(meter.prompt_tokens for meter in self.meters)
        known = sum(meter.cached_tokens for meter in self.meters)
        return known / read if known else None


class Watch(Protocol):
    """Whoever shows a run while it goes on."""

    def stage(self, title: str, progress: Progress) -> AbstractContextManager[None]:
        """Show `progress` while a stage is under way."""

    def training(self, step: int, steps: int, loss: float) -> None:
        """A training has come to `step` of `steps`; mean loss since the last call."""

    def wrote(self, path: Path, what: str) -> None:
        """A file is complete."""

    def say(self, line: str) -> None:
        """Something worth knowing."""


@dataclass(frozen=True, slots=True)
class Grown:
    """What `grow` did: trees in the file, failed searches (key -> error), tokens generated now.

    missing: searches that the run's budget did not last for; begun: those that have replies; limit:
    the limit that was reached, as a setting.
    """

    trees: int
    failures: Mapping[str, str]
    tokens: int
    recalled: int
    missing: int = 0
    begun: int = 0
    limit: str = ""


@dataclass(frozen=True, slots=True)
class Harvested:
    """What `harvest` found.

    examples: written; dropped: left out, by reason; tally: the recipe's own counts; cost: sampled
    tokens by role, of all the trees.
    """

    trees: int
    examples: int
    dropped: Mapping[str, int]
    tally: Mapping[str, int]
    cost: Mapping[str, int]


def grow(
    folder: RunFolder,
    problems: Callable[[], Iterable[Problem]],
    plan: Plan,
    engines: Mapping[str, Engine],
    *,
    last: Path | None = None,
    progress: Progress | None = None,
) -> Grown:
    """Search every problem with every arm of the recipe; trees end in `folder.trees`.

    problems: called twice, once to search and once for the order of the finished file.
    last: the trees of the round before.

    Replies are journaled before they are used and trees are written as they end, so the same call
    goes on after any interruption. A search that fails is listed in `folder.failures` and left out.
    What the journal holds counts as spent. The end of the run's budget is such an interruption, and
    what is in flight is awaited.
    """
    progress = progress or Progress()
    arms, purse = plan.recipe.arms(), plan.purse
    failures: dict[str, str] = {}
    suspended: list[bool] = []  # by the end of the budget: whether the search has replies
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(folder.journal))
        forest = stack.enter_context(Forest(folder.trees))
        before = stack.enter_context(Forest(last)) if last else None
        metered = {id(engine): Meter(engine) for engine in engines.values()}
        progress.meters, progress.purse = list(metered.values()), purse
        purse.count(journal.usage())
        recorded = {key: journal.wrap(purse.wrap(meter)) for key, meter in metered.items()}
        by_role = {role: recorded[id(engine)] for role, engine in engines.items()}

        def searches() -> Iterator[tuple[str, Moves[Tree]]]:
            for problem in problems():
                for arm, armed in arms.items():
                    if (problem.id, arm) in forest:
                        progress.found += 1
                        continue
                    labels = {"recipe": plan.name, "arm": arm, "seed": str(plan.seed)}
                    past = before.get((problem.id, arm)) if before else None
                    moves = _labelled(armed.grow(problem, past), labels)
                    yield f"{problem.id}#{arm}", purse.limit(moves)

        def wanted() -> Iterator[Key]:
            return ((problem.id, arm) for problem in problems() for arm in arms)

        for finished in drive(searches(), by_role, width=plan.width, seed=plan.seed):
            if finished.error == SPENT.error:
                suspended.append(bool(finished.cost))
            elif finished.result is None:
                failures[finished.key] = finished.error or "no tree"
                progress.failed += 1
            else:
                finished.result.cost = dict(sorted(finished.cost.items()))
                forest.append(finished.result)
                progress.done += 1
                progress.short += bool(finished.result.cut_short)
            progress.recalled = journal.recalled
        forest.finish(wanted())
        trees = len(forest)
        lacking = sum(key not in forest for key in wanted()) if suspended else len(failures)
    with replacing(folder.failures) as file:
        for key, error in sorted(failures.items()):
            file.write((json.dumps({"search": key, "error": error}) + "\n").encode())
    return Grown(
        trees,
        failures,
        progress.tokens,
        progress.recalled,
        missing=lacking - len(failures),
        begun=sum(suspended),
        limit=purse.ended if suspended else "",
    )


def harvest(trees: Path, recipe: Recipe, out: Path) -> Harvested:
    """Harvest a file of trees into a file of examples; equal examples are written once."""
    dropped: Counter[str] = Counter()
    tally: Counter[str] = Counter()
    cost: Counter[str] = Counter()
    grown = found = 0

    def examples() -> Iterator[Example]:
        nonlocal grown, found
        for tree in read_trees(trees):
            grown += 1
            tally.update(recipe.tally(tree))
            cost.update(tree.cost)
            crop = recipe.harvest(tree)
            dropped.update(crop.dropped)
            found += len(crop.examples)
            yield from crop.examples

    written = write_examples(out, distinct(examples()))
    if found > written:
        dropped["equal to another example"] = found - written
    return Harvested(grown, written, dict(dropped), dict(tally), dict(cost))


def distinct(examples: Iterable[Example]) -> Iterator[Example]:
    """Each example once; equal are those that teach the same, wherever they come from."""
    seen: set[bytes] = set()
    for example in examples:
        text = repr(replace(example, origin=""))
        name = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if name not in seen:
            seen.add(name)
            yield example


def _labelled(moves: Moves[Tree], labels: Mapping[str, str]) -> Moves[Tree]:
    tree = yield from moves
    tree.provenance = {**labels, "whorl": __version__}
    return tree

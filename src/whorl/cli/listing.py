"""Lists of trees and of attempts, as `whorl show` prints them: a summary, then a line for each."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import RenderableType

from whorl.cli import drawing
from whorl.cli.display import Display
from whorl.cli.terminal import console
from whorl.data.forest import read_trees
from whorl.data.rows import count_lines
from whorl.errors import visible
from whorl.evaluate import Record, read_records
from whorl.evaluate.scores import verdict
from whorl.loop.harvest import Harvested
from whorl.tree import Tree


@dataclass(slots=True)
class Counted:
    """Counts of trees, and of what came of them."""

    trees: int = 0
    problems: set[str] = field(default_factory=set)
    solved: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    short: int = 0
    cost: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    examples: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def add(self, tree: Tree) -> None:
        """Count a tree."""
        self.trees += 1
        self.problems.add(tree.problem.id)
        self.solved += drawing.solved(tree)
        self.ends.update(verdict(tree.nodes[i].reward) for i in tree.leaves())
        self.short += bool(tree.cut_short)
        self.cost.update(tree.cost)

    def add_folder(self, folder: Path) -> None:
        """Count what lies beside the trees of a run folder."""
        self.failed += count_lines(folder / "failures.jsonl")
        self.examples += count_lines(folder / "examples.jsonl")
        if found := Harvested.read(folder):
            self.dropped.update(found.dropped)

    def lines(self) -> Iterator[str]:
        """The summary; a line that would say nothing is left out."""
        if not self.trees:
            return
        share = f"{100 * self.solved / self.trees:.1f} %"
        solutions = sum(self.ends.values())
        doubt = f", {self.ends['undecided']:,} undecided" if self.ends["undecided"] else ""
        yield (
            f"{_many(self.trees, 'tree')} of {_many(len(self.problems), 'problem')}: "
            f"{self.solved:,} solved ({share}), {self.trees - self.solved:,} not; "
            f"{self.ends['right']:,} of {_many(solutions, 'solution')} right{doubt}"
        )
        spent = [f"{role} {tokens:,}" for role, tokens in self.cost.items() if tokens]
        more = [f"{self.short:,} cut short"] if self.short else []
        more += [f"{_many(self.failed, 'search', 'searches')} failed"] if self.failed else []
        if spent or more:
            tokens = [f"{sum(self.cost.values()):,} tokens ({', '.join(spent)})"] if spent else []
            yield "; ".join([*tokens, *more])
        left_out = ", ".join(f"{count:,} {why}" for why, count in self.dropped.items())
        if self.examples or left_out:
            reasons = f"; left out: {left_out}" if left_out else ""
            yield visible(f"taught {_many(self.examples, 'example')}{reasons}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Wishes of whoever lists trees or attempts. problem: the only one, shown in full; empty: a
    line for each. solved: whether those that are listed are; None: all."""

    problem: str = ""
    solved: bool | None = None
    notes: bool = False
    compact: bool = False

    def fits(self, problem: str, solved: bool) -> bool:
        return self.problem in ("", problem) and self.solved in (None, solved)

    def tell_unfit(self) -> None:
        """Say why nothing is shown of the one problem, though it is there."""
        option, what = ("--solved", "not solved") if self.solved else ("--unsolved", "solved")
        Display().say(f"problem {self.problem!r} is {what}, which {option} leaves out")


def print_trees(files: Sequence[Path], wanted: Wanted) -> bool:
    """Print the trees of these files, of all problems a summary and those that are wanted; false if
    there are none, or none of the problem. Files that are missing are passed over, unless all
    are."""
    counted, lines = Counted(), list[RenderableType]()
    terminal = console(soft_wrap=not wanted.problem)
    found = shown = False
    files = [file for file in files if file.exists()] or list(files)[:1]
    for file in files:
        counted.add_folder(file.parent)
        head = [f"{file.parent.name}:"] if len(files) > 1 else []
        for tree in read_trees(file):
            counted.add(tree)
            found = found or wanted.problem in ("", tree.problem.id)
            if not wanted.fits(tree.problem.id, drawing.solved(tree)):
                continue
            shown = True
            if wanted.problem:
                terminal.print(
                    drawing.tree_drawing(tree, notes=wanted.notes, compact=wanted.compact)
                )
            else:
                lines += [*head, drawing.tree_line(tree)]
                head = []
    for line in () if wanted.problem else (*counted.lines(), *([""] if lines else []), *lines):
        terminal.print(line)
    if wanted.problem and found and not shown:
        wanted.tell_unfit()
    return found


def print_attempts(file: Path, wanted: Wanted) -> bool:
    """Print the attempts of an evaluation, as `print_trees` does trees."""
    terminal = console(soft_wrap=not wanted.problem)
    found = shown = False
    if not wanted.problem:
        terminal.print(f"{attempts_summary(read_records(file))}\n")
    for record in read_records(file):
        found = found or wanted.problem in ("", record.problem.id)
        if wanted.fits(record.problem.id, solved(record)):
            shown = True
            tell = drawing.attempts_text if wanted.problem else drawing.attempts_line
            terminal.print(tell(record))
    if wanted.problem and found and not shown:
        wanted.tell_unfit()
    return found


def attempts_summary(records: Iterable[Record]) -> str:
    """Attempts at problems in a line: how many were right the first time, and at all."""
    first: Counter[str] = Counter()
    problems = ever = failed = attempts = 0
    for record in records:
        problems += 1
        failed += bool(record.error)
        attempts += len(record.attempts)
        first.update(verdict(attempt.right) for attempt in record.attempts[:1])
        ever += solved(record)
    counts = ", ".join(f"{first[word]:,} {word}" for word in ("right", "wrong", "undecided"))
    several = f"; {ever:,} right in one of all attempts" if attempts > problems else ""
    broken = f"; {failed:,} failed" if failed else ""
    return f"{_many(problems, 'problem')}: {counts} at the first attempt{several}{broken}"


def solved(record: Record) -> bool:
    """Whether one of the attempts at a problem is right."""
    return any(attempt.right == 1.0 for attempt in record.attempts)


def _many(count: int, what: str, several: str = "") -> str:
    return f"{count:,} {what if count == 1 else several or f'{what}s'}"

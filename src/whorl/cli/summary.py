"""The report of a run folder: counts of its harvests, scores, and a few trees.

It takes no recipe, so trees of one that is not installed are reported too.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

from whorl.data.forest import read_keys, read_trees
from whorl.errors import UserError
from whorl.evaluate import Score, pass_rate, read_scores
from whorl.loop.folder import RunFolder
from whorl.loop.harvest import Harvested
from whorl.report import Figure, FigureTable, Report, ResultRow
from whorl.report.rows import OUTCOMES, cells, figures, levels, reference, row
from whorl.report.trees import outcomes
from whorl.settings import flat_items
from whorl.tree import Tree

TREES = 12  # shown
LOOKED_AT = 200  # trees that are read to find so many that were revised


@dataclass(slots=True)
class _Counts:
    """Sums of counts over the files of trees of a run.

    trees: that were harvested; unharvested: the others.
    cost: sampled tokens by role, of all.
    """

    trees: int = 0
    unharvested: int = 0
    examples: int = 0
    tally: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    cost: Counter[str] = field(default_factory=Counter)
    remarks: list[str] = field(default_factory=list)

    def add(self, found: Harvested) -> None:
        """Add the counts of a harvest, without its cost and its examples, which may have been
        harvested again."""
        self.trees += found.trees
        self.tally.update(found.tally)
        self.dropped.update(found.dropped)
        self.remarks += found.remarks


def summary(folder: RunFolder) -> Report:
    """The report of a run folder, be it of one `grow` or of a whole run."""
    places = [path for path in folder.parts() if (path / "trees.jsonl").exists()]
    counts = _counted(places)
    if not counts.trees + counts.unharvested:
        raise UserError(f"{folder.path} holds no trees; `whorl grow` writes them")
    scores = list(_scores(folder.path))
    return Report(
        title=f"whorl: {folder.settings['recipe']['name']}",
        lead=_lead(counts, scores),
        figures=figures({"trees": counts.trees + counts.unharvested, "examples": counts.examples})
        + figures({f"tokens, {role}": count for role, count in sorted(counts.cost.items())}),
        rows=tuple(_rows(scores)),
        remarks=tuple(dict.fromkeys(counts.remarks)),
        levels=tuple(levels(scores[0], scores[-1])) if len(scores) > 1 else (),
        cells=cells(counts.tally),
        counters=(
            FigureTable("Search", figures(counts.tally)),
            FigureTable("Left out of the examples", figures(counts.dropped)),
        ),
        trees=tuple(_shown((read_trees(path / "trees.jsonl") for path in places), counts.tally)),
        settings=(
            FigureTable(
                "Settings", tuple(Figure(key, said) for key, said in flat_items(folder.settings))
            ),
        ),
    )


def _counted(places: Sequence[Path]) -> _Counts:
    """Counts of all harvests of these folders, and the tokens of all their trees. Trees are read
    where a folder was not harvested, or got trees since."""
    counts = _Counts()
    for place in places:
        trees, found = place / "trees.jsonl", Harvested.read(place)
        late = sum(1 for _ in read_keys(trees))
        if found:
            counts.add(found)
            counts.examples += _lines(place / "examples.jsonl", found.examples)
            late -= found.trees
        if late > 0:
            counts.unharvested += late
            for tree in read_trees(trees):
                counts.cost.update(tree.cost)
        elif found:
            counts.cost.update(found.cost)
    return counts


def _lines(path: Path, otherwise: int) -> int:
    """Examples that a file holds now; `otherwise` if there is none."""
    if not path.exists():
        return otherwise
    with path.open("rb") as file:
        return sum(not line.isspace() for line in file)


def _shown(files: Iterable[Iterable[Tree]], tally: Mapping[str, int]) -> Iterator[Tree]:
    """The trees that the report shows: one of each outcome that the run counts, then revised ones.

    The first `LOOKED_AT` are looked at, and more only while one of those outcomes has no tree.
    """
    wanted = {words for words in OUTCOMES if tally.get(words)}
    first: list[Tree] = []
    revised: list[Tree] = []
    plain: list[Tree] = []
    for number, tree in enumerate(chain.from_iterable(files)):
        outcome = " to ".join(map(str, outcomes(tree))) if wanted else ""
        if outcome in wanted:
            wanted.remove(outcome)
            first.append(tree)
        elif number < LOOKED_AT:
            kept = revised if any(node.author == "reviser" for node in tree.nodes) else plain
            if len(kept) < TREES:
                kept.append(tree)
        enough = number + 1 >= LOOKED_AT or len(first) + len(revised) >= TREES
        if enough and not wanted:
            break
    yield from islice(chain(first, revised, plain), TREES)


def _scores(path: Path) -> Iterator[list[Score]]:
    """Scores before the first round, after the first, and so on."""
    number = 0
    while (file := path / f"scores-{number}.jsonl").exists():
        yield read_scores(file)
        number += 1


def _lead(counts: _Counts, scores: Sequence[Sequence[Score]]) -> str:
    """The outcome of the run in a sentence or two."""
    said = f"{counts.trees:,} trees taught {counts.examples:,} examples"
    if len(scores) > 1:
        before, after = (100 * pass_rate(each, 1).value for each in (scores[0], scores[-1]))
        said += f"; the policy went from {before:.1f} % to {after:.1f} % right answers"
    more = f"{counts.unharvested:,} trees are grown and not harvested yet"
    sentences = [said] if counts.trees else []
    return ". ".join([*sentences, *([more] if counts.unharvested else [])]) + "."


def _rows(scores: Sequence[Sequence[Score]]) -> Iterator[ResultRow]:
    """Rows of the report: before the first round, and after each."""
    for number, own in enumerate(scores):
        yield row(f"after round {number}", scores[0], own) if number else reference("before", own)

"""What a run folder holds, gathered for the report."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from whorl.data.forest import read_trees
from whorl.errors import UserError
from whorl.evaluate import Score, pass_rate, read_scores
from whorl.loop.folder import RunFolder
from whorl.loop.manifest import recipe_of
from whorl.report import Figure, Report, Row, Table
from whorl.report.rows import cells, figures, levels, reference, row
from whorl.settings import flat
from whorl.tree import Tree

TREES = 12


@dataclass(slots=True)
class _Forest:
    """What the trees of a run say."""

    trees: int = 0
    shown: list[Tree] = field(default_factory=list)
    tally: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    cost: Counter[str] = field(default_factory=Counter)
    examples: int = 0
    unread: str = ""  # why there is no recipe to count and to harvest by


def summary(folder: RunFolder) -> Report:
    """The report of a run folder, be it of one `grow` or of a whole run."""
    rounds = sorted(folder.path.glob("round-*"), key=lambda path: int(path.name[6:]))
    files = [path / "trees.jsonl" for path in rounds] or [folder.trees]
    forest = _gather(folder, [path for path in files if path.exists()])
    scores = list(_scores(folder.path))
    return Report(
        title=f"whorl: {folder.settings['recipe']['name']}",
        lead=_lead(forest, scores),
        figures=figures({"trees": forest.trees})
        + figures({} if forest.unread else {"examples": forest.examples})
        + figures({f"tokens, {role}": count for role, count in sorted(forest.cost.items())}),
        rows=tuple(_rows(scores)),
        levels=tuple(levels(scores[0], scores[-1])) if len(scores) > 1 else (),
        cells=cells(forest.tally),
        counters=(
            Table("Search", figures(forest.tally)),
            Table("Left out of the examples", figures(forest.dropped)),
        ),
        trees=tuple(forest.shown),
        remarks=(f"Nothing is counted: {forest.unread}",) if forest.unread else (),
        settings=(
            Table("Settings", tuple(Figure(key, said) for key, said in flat(folder.settings))),
        ),
    )


def _gather(folder: RunFolder, files: Sequence[Path]) -> _Forest:
    """One pass over the trees; those that were revised are shown before others."""
    forest = _Forest()
    try:
        recipe = recipe_of(folder)
    except UserError as error:  # what its trees hold is shown all the same
        recipe, forest.unread = None, str(error)
    plain: list[Tree] = []
    for tree in (tree for file in files for tree in read_trees(file)):
        forest.trees += 1
        forest.cost.update(tree.cost)
        if recipe is not None:
            forest.tally.update(recipe.tally(tree))
            harvest = recipe.harvest(tree)
            forest.dropped.update(harvest.dropped)
            forest.examples += len(harvest.examples)
        revised = any(node.author == "reviser" for node in tree.nodes)
        kept = forest.shown if revised else plain
        if len(kept) < TREES:
            kept.append(tree)
    if not forest.trees:
        raise UserError(f"{folder.path} holds no trees; `whorl grow` writes them")
    forest.shown += islice(plain, TREES - len(forest.shown))
    return forest


def _scores(path: Path) -> Iterator[list[Score]]:
    """Scores before the first round, after it, and so on."""
    number = 0
    while (file := path / f"scores-{number}.jsonl").exists():
        yield read_scores(file)
        number += 1


def _lead(forest: _Forest, scores: Sequence[Sequence[Score]]) -> str:
    grown = f"{forest.trees:,} trees"
    if not forest.unread:
        grown += f" taught {forest.examples:,} examples"
    if len(scores) < 2:
        return f"{grown}."
    before, after = (100 * pass_rate(each, 1).value for each in (scores[0], scores[-1]))
    return f"{grown}; the policy went from {before:.1f} % to {after:.1f} % right answers."


def _rows(scores: Sequence[Sequence[Score]]) -> Iterator[Row]:
    """Before the first round, and after each."""
    for number, own in enumerate(scores):
        yield row(f"after round {number}", scores[0], own) if number else reference("before", own)

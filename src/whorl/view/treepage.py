"""A tree as pages show it: its drawing, critique and revision, and forks of its steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from sqlite3 import Row

from markupsafe import Markup

from whorl.report import ReportTree
from whorl.report.critiques import (
    Side,
    StepPair,
    compare_paths,
    revised_path,
    searched_path,
    two_solutions,
)
from whorl.tree import ROOT, Tree
from whorl.view.address import Addresses
from whorl.view.drawing import drawn
from whorl.view.facts import Facts, facts_of
from whorl.view.fork import Fork, fork_of, forks_of, taught_by
from whorl.view.index import Index


@dataclass(frozen=True)
class TreePage:
    """A tree on a page.

    selected: the step whose fork is open. forks: those that the page holds.
    revised, accepted: a reviser wrote something; what it wrote was chosen.
    """

    grown: ReportTree
    facts: Facts
    to: Addresses
    selected: int
    forks: Sequence[Fork]

    @property
    def tree(self) -> Tree:
        return self.grown.tree

    @cached_property
    def drawing(self) -> Markup:
        return drawn(self.tree, self.selected, self.to.node)

    @cached_property
    def comparisons(self) -> tuple[StepPair, ...]:
        """Critique and revision step by step; empty if there was no critique."""
        best = searched_path(self.tree)
        return compare_paths(self.tree, best, revised_path(self.tree)) if self._criticised else ()

    @cached_property
    def afresh(self) -> tuple[Side, Side] | None:
        """The best solution, and one that the reviser wrote without a critique of it."""
        best, revised = searched_path(self.tree), revised_path(self.tree)
        return None if self._criticised or not revised else two_solutions(self.tree, best, revised)

    @property
    def _criticised(self) -> bool:
        nodes = [self.tree.nodes[i] for i in searched_path(self.tree)]
        return any(node.note or "critique" in node.mark for node in nodes)

    @property
    def revised(self) -> bool:
        return bool(revised_path(self.tree))

    @property
    def accepted(self) -> bool:
        return self.revised and revised_path(self.tree) == self.tree.path(self.tree.tip)


def grown_at(index: Index, row: Row) -> ReportTree:
    """The tree of a row of the index, and what became of it."""
    tree = index.tree(row["start"])
    dropped = index.read(
        "SELECT reason, count FROM dropped WHERE problem=? AND arm=?", row["problem"], row["arm"]
    )
    reasons = tuple((reason, count) for reason, count in dropped)
    return ReportTree(tree, tuple(taught_by(index, tree)), reasons)


def opened(grown: ReportTree, to: Addresses, selected: int) -> TreePage:
    """A tree with the fork of one step. selected: the step; one that the tree lacks is the first of
    the main path."""
    tree = grown.tree
    step = selected if 0 < selected < len(tree.nodes) else (main_path(tree) or [ROOT])[0]
    return TreePage(grown, facts_of(tree), to, step, [fork_of(tree, step, grown.taught)])


def whole(grown: ReportTree, to: Addresses) -> TreePage:
    """A tree with the forks of all its steps."""
    parents = [i for i, node in enumerate(grown.tree.nodes) if node.children]
    return _with(grown, to, parents)


def brief(grown: ReportTree, to: Addresses) -> TreePage:
    """A tree with the forks of its main path."""
    return _with(grown, to, [ROOT, *main_path(grown.tree)])


def main_path(tree: Tree) -> list[int]:
    """The chosen path, or else the best that was found."""
    return tree.path(tree.tip) or searched_path(tree)


def _with(grown: ReportTree, to: Addresses, parents: Sequence[int]) -> TreePage:
    tree = grown.tree
    forks = forks_of(tree, parents, grown.taught)
    return TreePage(grown, facts_of(tree), to, (main_path(tree) or [ROOT])[0], forks)

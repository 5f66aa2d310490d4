"""Siblings side by side: the steps that follow one prefix, the words in which they differ, what was
said of them, and what was learned from them."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from markupsafe import Markup

from whorl.errors import visible
from whorl.report import Taught
from whorl.report.critiques import Note, read_note
from whorl.report.text import clip
from whorl.tree import ROOT, Node, Tree
from whorl.view.index import Index
from whorl.view.mathematics import text

STEP = 6_000  # characters of a step that are shown
DIFFERING = 3_000  # characters of a step whose words are compared
SIBLINGS = 40  # shown of many: the selected one, the chosen one, the most visited
PREFIX = 20_000  # characters of the steps before


@dataclass(frozen=True, slots=True)
class Sibling:
    """A step of a fork.

    text: as it reads. words: with the words marked that the selected one lacks; None for itself.
    plain: the text has no formulas or code, so that the words alone can stand for it.
    below: tokens sampled for the branch, this step included; nodes in it.
    taught: examples that came of it, and those in which it was rejected.
    """

    index: int
    node: Node
    selected: bool
    chosen: bool
    text: Markup
    words: Markup | None
    plain: bool
    left_out: int
    note: Note | None
    below: int
    size: int
    taught: tuple[Taught, ...]


@dataclass(frozen=True, slots=True)
class Fork:
    """The steps that follow the node `parent`. before: the solution so far; None where it stands
    elsewhere on the page. path: nodes to it. hidden: siblings that are not shown."""

    parent: int
    selected: int
    before: Markup | None
    path: tuple[int, ...]
    siblings: tuple[Sibling, ...]
    hidden: int


def fork_of(
    tree: Tree, selected: int, taught: Sequence[Taught], *, with_before: bool = True
) -> Fork:
    """The fork of the step `selected`; for the root that of the first steps."""
    parent = max(ROOT, tree.nodes[selected].parent)
    chosen = set(tree.path(tree.tip))
    children = tree.nodes[parent].children
    against = selected if selected in children else (children[0] if children else ROOT)

    def rank(i: int) -> tuple[bool, bool, int]:
        return i != against, i not in chosen, -tree.nodes[i].visits

    shown = sorted(sorted(children, key=rank)[:SIBLINGS])
    return Fork(
        parent,
        selected,
        text(clip(tree.text(parent), PREFIX).text) if with_before else None,
        tuple(tree.path(parent)),
        tuple(_sibling(tree, i, against, chosen, taught) for i in shown),
        len(children) - len(shown),
    )


def forks_of(tree: Tree, parents: Sequence[int], taught: Sequence[Taught]) -> list[Fork]:
    """The forks below these nodes, each compared with its chosen step or else the most visited."""
    chosen = set(tree.path(tree.tip))
    found = []
    for parent in parents:
        children = tree.nodes[parent].children
        first = max(children, key=lambda i: (i in chosen, tree.nodes[i].visits, -i), default=None)
        if first is not None:
            found.append(fork_of(tree, first, taught, with_before=False))
    return found


def taught_by(index: Index, tree: Tree) -> list[Taught]:
    """The training examples that came of a tree."""
    rows = index.read(
        "SELECT node, rejected, weight, start FROM examples WHERE problem=? AND arm=?",
        *(tree.problem.id, tree.provenance.get("arm", "")),
    )
    return [Taught(**row) for row in map(dict, rows)]


def example_at(path: Path, start: int) -> Mapping[str, object] | None:
    """The row of a file of examples that begins at `start`; None if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            row = json.loads(file.readline())
    except (OSError, ValueError):
        return None
    return row if isinstance(row, dict) else None


def _sibling(
    tree: Tree, i: int, against: int, chosen: set[int], taught: Sequence[Taught]
) -> Sibling:
    node = tree.nodes[i]
    shown = clip(node.text, STEP)
    laid_out = text(shown.text)
    below = _branch(tree, i)
    return Sibling(
        index=i,
        node=node,
        selected=i == against,
        chosen=i in chosen,
        text=laid_out,
        words=None if i == against else differing(node.text, tree.nodes[against].text),
        plain="<" not in laid_out and len(shown.text) <= DIFFERING,
        left_out=shown.left_out,
        note=read_note(node.note),
        below=sum(tree.nodes[j].tokens * tree.nodes[j].copies for j in below),
        size=len(below),
        taught=tuple(t for t in taught if i in (t.node, t.rejected)),
    )


def differing(said: str, other: str) -> Markup:
    """A text with the words marked that differ from those of another one."""
    a = re.findall(r"\w+|\s+|[^\w\s]", clip(other, DIFFERING).text)
    b = re.findall(r"\w+|\s+|[^\w\s]", clip(said, DIFFERING).text)
    parts = []
    for kind, _, _, j, end in SequenceMatcher(None, a, b).get_opcodes():
        words = visible("".join(b[j:end]))
        mark = "{}" if kind == "equal" or not words.strip() else "<mark>{}</mark>"
        parts.append(Markup(mark).format(words))
    return Markup("").join(parts)


def _branch(tree: Tree, i: int) -> list[int]:
    """The nodes of a branch: a step and all that follows it."""
    found, stack = [], [i]
    while stack:
        found.append(stack.pop())
        stack.extend(tree.nodes[found[-1]].children)
    return found

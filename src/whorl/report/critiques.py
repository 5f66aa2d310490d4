"""A refined tree side by side: the steps before, the critic's remarks, and the steps after."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import NamedTuple

from whorl.prompts.critique import field_of, read_critique
from whorl.report.text import Excerpt, clip
from whorl.tree import Node, Tree

STEP = 1_200  # characters of a step that are shown
NOTE = 2_000  # characters of a critique that are shown
SOLUTION = 5_000  # characters of a solution that is shown whole


class Piece(NamedTuple):
    """A run of words; `changed` if the other side lacks them."""

    text: str
    changed: bool


class Remark(NamedTuple):
    """One line of a note: `Errors` and what follows it; the label is empty for plain prose.

    What a critic had nothing to say about is gathered under the label `None`.
    """

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Note:
    """A node's note, line by line, and how many characters are left out."""

    remarks: tuple[Remark, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Side:
    """One step as it stood; `pieces` join to the text that is shown."""

    pieces: tuple[Piece, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class StepPair:
    """Step `number` of both paths; a side is None where its path is shorter."""

    number: int
    before: Side | None
    note: Note | None
    after: Side | None
    same: bool


def searched_path(tree: Tree) -> list[int]:
    """The best path of the search, which the critic read.

    Without critiques: the chosen one, or the policy's solution of the highest mean outcome.
    """
    read = [0] * len(tree.nodes)  # critiques on the way to each node
    ends = []
    for i, node in enumerate(tree.nodes[1:], start=1):
        if node.author == "policy":
            criticised = _criticised(node)
            read[i] = read[node.parent] + criticised
            if node.terminal or criticised:
                ends.append(i)
    if not any(read) and tree.tip in ends:
        return tree.path(tree.tip)
    nodes = tree.nodes
    rank = [(read[i], nodes[i].terminal, nodes[i].mean, nodes[i].visits, -i) for i in ends]
    return tree.path(-max(rank)[-1]) if rank else []


def revised_path(tree: Tree) -> list[int]:
    """The path that a reviser wrote: the chosen one, else the last try; empty if none."""
    written = [i for i, node in enumerate(tree.nodes) if node.author == "reviser"]
    chosen = tree.path(tree.tip)
    if not written or not set(written).isdisjoint(chosen):
        return chosen if written else []
    return tree.path(max(written, key=lambda i: (tree.nodes[i].terminal, i)))


def compare_paths(tree: Tree, before: Sequence[int], after: Sequence[int]) -> tuple[StepPair, ...]:
    """Both paths step by step, with the critiques; `after` may be empty."""
    whole = _by_step(tree.nodes[before[-1]].note) if before else {}
    comparisons = []
    for k in range(max(len(before), len(after))):
        old = tree.nodes[before[k]] if k < len(before) else None
        new = tree.nodes[after[k]] if k < len(after) else None
        note = whole.get(k + 1, "") if whole else (old.note if old else "")
        left, right = _mark(old.text if old else "", new.text if new else "")
        same = bool(old and new and old.text.strip() == new.text.strip())
        comparisons.append(
            StepPair(
                number=k + 1,
                before=left if old else None,
                note=read_note(note),
                after=right if new else None,
                same=same,
            )
        )
    return tuple(comparisons)


def two_solutions(tree: Tree, before: Sequence[int], after: Sequence[int]) -> tuple[Side, Side]:
    """Both paths as whole solutions, for one that was written without sight of the other: their
    steps do not correspond. `before` may be empty."""
    own, afresh = (
        clip("".join(tree.nodes[i].text for i in path), SOLUTION) for path in (before, after)
    )
    return _side([Piece(own.text, False)], own), _side([Piece(afresh.text, False)], afresh)


def read_note(note: str, *, limit: int = NOTE) -> Note | None:
    """The note's lines with the labels of a critique set apart; None if there is no note."""
    text, left_out = clip(note, limit)
    remarks: list[Remark] = []
    for line in text.splitlines():
        remark, last = _remark(line), remarks[-1] if remarks else None
        if last and last.label == remark.label and remark.label in ("", _NONE):
            glue = ", " if remark.label else "\n"
            remarks[-1] = Remark(last.label, f"{last.text}{glue}{remark.text}")
        elif remark.label or line.strip():
            remarks.append(remark)
    return Note(tuple(remarks), left_out) if remarks else None


_NONE = "None"
_STEP = r"(?i)\W{0,4}(Step \d{1,4})\W{0,4}?:(.*)"


def _criticised(node: Node) -> bool:
    """Whether the node's note is a critique, and not, as in older trees, why it was pruned."""
    if node.mark.startswith("critique"):
        return True
    if not node.note:
        return False
    said = read_critique(node.note[:NOTE])
    return said.fields or said.verdict is not None


def _remark(line: str) -> Remark:
    if step := re.match(_STEP, line):
        return Remark(step[1].capitalize(), step[2].strip(" *"))
    label, rest = field_of(line)
    if not label:
        return Remark("", line)
    rest = rest.strip(" *")
    if rest.lower().strip(".") in ("none", "n/a"):
        return Remark(_NONE, label)
    return Remark(label.capitalize(), rest)


def _by_step(note: str) -> dict[int, str]:
    """A whole path's critique cut at its "Step k:" lines; empty if it has none."""
    pieces = re.split(r"(?m)^\W{0,4}Step (\d{1,4}):[^\S\n]*$", note)
    return {int(k): text for k, text in zip(pieces[1::2], pieces[2::2], strict=True)}


def _mark(before: str, after: str) -> tuple[Side, Side]:
    """Both steps with the words that differ marked; no marks if there is only one."""
    old, new = clip(before, STEP), clip(after, STEP)
    if not old.text or not new.text:
        return _side([Piece(old.text, False)], old), _side([Piece(new.text, False)], new)
    a, b = _words(old.text), _words(new.text)
    left, right = [], []
    for kind, i, i_end, j, j_end in SequenceMatcher(None, a, b).get_opcodes():
        left.append(Piece("".join(a[i:i_end]), kind != "equal"))
        right.append(Piece("".join(b[j:j_end]), kind != "equal"))
    return _side(left, old), _side(right, new)


def _side(pieces: Sequence[Piece], of: Excerpt) -> Side:
    return Side(tuple(piece for piece in pieces if piece.text), of.left_out)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+|\s+|[^\w\s]", text)

"""Grown trees as a table, a row a step, for notebooks and plots."""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whorl.data.forest import read_trees
from whorl.data.rounds import rounds_of
from whorl.errors import UserError
from whorl.tree import ROOT, Tree

if TYPE_CHECKING:
    from datasets import Dataset  # type: ignore[import-untyped]


def trees_to_dataset(trees: Path | str | Iterable[Tree]) -> "Dataset":
    """The steps of trees as a `datasets.Dataset`, a row for each, in the order in which they grew.

    trees: or the file, or the run folder, that holds them.

    Columns: problem, arm, question, answer, level; node, parent, depth, author, text, note, mark;
    visits, mean (None without visits), value, reward, copies, tokens, logprob; terminal, pruned,
    chosen (on the path to the chosen solution). `to_pandas()` makes a data frame of it.

    Raises `UserError` if `datasets` is not installed, or if the file cannot be read.
    """
    try:
        from datasets import Dataset
    except ImportError as error:
        raise UserError("trees_to_dataset needs datasets: pip install 'whorl[hub]'") from error
    found = _read(Path(trees)) if isinstance(trees, str | Path) else trees
    return Dataset.from_list(list(chain.from_iterable(map(rows, found))))


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    """The steps of a tree, the root left out, as the rows of `trees_to_dataset`."""
    chosen = set(tree.path(tree.tip))
    depth = [0] * len(tree.nodes)
    about = {
        "problem": tree.problem.id,
        "arm": tree.provenance.get("arm", ""),
        "question": tree.problem.question,
        "answer": tree.problem.answer,
        "level": tree.problem.level,
    }
    for i, node in enumerate(tree.nodes):
        if i == ROOT:
            continue
        depth[i] = depth[node.parent] + 1
        yield about | {
            "node": i,
            "parent": node.parent,
            "depth": depth[i],
            "author": node.author,
            "text": node.text,
            "note": node.note,
            "mark": node.mark,
            "visits": node.visits,
            "mean": node.mean if node.visits else None,
            "value": node.value,
            "reward": node.reward,
            "copies": node.copies,
            "tokens": node.tokens,
            "logprob": node.logprob,
            "terminal": node.terminal,
            "pruned": node.pruned,
            "chosen": i in chosen,
        }


def _read(place: Path) -> Iterator[Tree]:
    if not place.is_dir():
        return read_trees(place)
    folders = rounds_of(place) or [place]
    return chain.from_iterable(read_trees(folder / "trees.jsonl") for folder in folders)

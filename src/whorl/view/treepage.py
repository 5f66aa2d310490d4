"""The page of a tree: its drawing, critique and revision, and the fork of one of its steps."""

from sqlite3 import Row
from typing import Any

from whorl.report.critiques import compare_paths, revised_path, searched_path
from whorl.view.drawing import drawn
from whorl.view.facts import outcome
from whorl.view.fork import fork_of, taught_by
from whorl.view.index import Index
from whorl.view.listing import neighbours


def tree_page(index: Index, row: Row, selected: int) -> dict[str, Any]:
    """Content of the page of the tree of `row`. selected: the step whose fork is open; one that the
    tree lacks is the root."""
    tree = index.tree(row["start"])
    selected = selected if selected < len(tree.nodes) else 0
    best, revised, chosen = searched_path(tree), revised_path(tree), tree.path(tree.tip)
    opened = selected or (chosen or best or [0])[0]
    taught = taught_by(index, tree)
    criticised = any(tree.nodes[i].note for i in best)
    dropped = index.read(
        "SELECT reason, count FROM dropped WHERE problem=? AND arm=?", row["problem"], row["arm"]
    )
    before, after = neighbours(index, row["number"])
    return {
        "tree": tree,
        "row": row,
        "selected": opened,
        "drawing": drawn(tree, opened),
        "fork": fork_of(tree, opened, taught),
        "comparisons": compare_paths(tree, best, revised) if criticised or revised else (),
        "revised": bool(revised),
        "accepted": bool(revised) and revised == chosen,
        "taught": taught,
        "dropped": dropped,
        "neighbours": (before, after),
        "outcome": outcome,
    }

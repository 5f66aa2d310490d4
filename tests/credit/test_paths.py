"""What ends of paths are worth, and what follows from that."""

from whorl.credit import backup
from whorl.problem import Problem
from whorl.tree import ROOT, Node, Tree

PROBLEM = Problem("p", "Add 3, 4 and 5.", "12")


def test_backup_counts_along_the_path_only() -> None:
    tree = Tree(PROBLEM)
    a = tree.add(Node(ROOT, "a"))
    b = tree.add(Node(a, "b"))
    other = tree.add(Node(ROOT, "c"))
    backup(tree, b, 1.0)
    backup(tree, a, 0.0)
    counts = [(tree.nodes[i].visits, tree.nodes[i].total) for i in (ROOT, a, b, other)]
    assert counts == [(2, 1.0), (2, 1.0), (1, 1.0), (0, 0.0)]

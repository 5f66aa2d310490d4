"""What ends of paths are worth, and what follows from that."""

from whorl.credit import backup, outcome
from whorl.credit.paths import whole_step
from whorl.problem import Problem
from whorl.tree import ROOT, Node, Tree

PROBLEM = Problem("p", "Add 3, 4 and 5.", "12")


def test_what_a_sibling_has_said_before_is_worth_what_it_says() -> None:
    node = Node(ROOT, "\\boxed{12}", pruned=True, mark="repeated", reward=1.0)
    assert outcome(node) == outcome(node, "leaf") == 1.0
    node = Node(ROOT, "3+4=7", pruned=True, mark="repeated")
    assert (outcome(node), outcome(node, "leaf")) == (0.0, None)


def test_a_step_without_an_answer_is_not_whole_whatever_ends_steps() -> None:
    for glue in ("", "\n\n"):
        assert not whole_step(Node(ROOT, "I give up.", pruned=True, mark="no answer"), glue)
        assert whole_step(Node(ROOT, f"3+4=7{glue}", pruned=True, mark="not kept"), glue)


def test_backup_counts_along_the_path_only() -> None:
    tree = Tree(PROBLEM)
    a = tree.add(Node(ROOT, "a"))
    b = tree.add(Node(a, "b"))
    other = tree.add(Node(ROOT, "c"))
    backup(tree, b, 1.0)
    backup(tree, a, 0.0)
    counts = [(tree.nodes[i].visits, tree.nodes[i].total) for i in (ROOT, a, b, other)]
    assert counts == [(2, 1.0), (2, 1.0), (1, 1.0), (0, 0.0)]

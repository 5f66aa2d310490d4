"""Search trees of OpenR (2410.09671), read as our own.

One JSON object a line: `question`, `answer`, optional `problem_id`, and `tree`, nested nodes of
`text`, `mc_value` and `children` whose root holds the question. An inner node's `mc_value` is the
share of right ones among solutions sampled from it; a leaf is one of these, whole, and right where
its value is 1.
"""

from collections.abc import Iterator
from fractions import Fraction
from math import lcm
from pathlib import Path
from typing import Any

from whorl.answer import extract
from whorl.credit import prune
from whorl.data.problems import comparable_answer
from whorl.data.rows import BadRow, Row, cell, read_rows
from whorl.errors import UserError
from whorl.problem import Problem
from whorl.tree import ROOT, Node, Tree

MOST = 64
"""Completions that a value may be the mean of; with more it is taken as the nearest of these."""


def read_openr(path: Path, *, glue: str = "\n\n") -> Iterator[Tree]:
    """The trees of a file, in its order.

    glue: stands between a step and the next one; the texts come without what was there.

    Leaves with a final answer are terminal and not judged yet; others are pruned. An inner node has
    as many visits as its tree's values have in common as a denominator, and a leaf has one. Raises
    `UserError` at a line that holds no such tree, or a further one of a problem.
    """
    lines: dict[str, int] = {}
    for number, row in read_rows(path):
        try:
            if isinstance(row, BadRow):
                raise row
            tree = _tree(row, glue, f"{path.stem}:{number}")
            name = tree.problem.id
            if (first := lines.setdefault(name, number)) != number:
                raise BadRow(
                    f"line {first} holds a tree of problem {name!r} too; leave one out, or give "
                    "each an id of its own"
                )
            yield tree
        except BadRow as bad:
            raise UserError(f"{path}, line {number}: {bad}") from None


def _tree(row: Row, glue: str, name: str) -> Tree:
    problem = Problem(
        cell(row, "problem_id") or cell(row, "id") or name,
        cell(row, "question"),
        comparable_answer(cell(row, "answer")),
        source="openr",
    )
    if not problem.question:
        raise BadRow("no question")
    root: Any = row.get("tree")
    tree = Tree(problem, provenance={"recipe": "openr", "arm": ""})
    rollouts = lcm(*(value.denominator for value in _values(root)))
    tree.nodes[ROOT].visits = rollouts
    tree.nodes[ROOT].total = float(_value(root) * rollouts)
    waiting = [(ROOT, child) for child in root["children"]]
    for parent, given in waiting:
        leaf = not given["children"]
        visits = 1 if leaf else rollouts
        node = Node(
            parent,
            given["text"] + glue * (not leaf),
            visits=visits,
            total=float(_value(given) * visits),
        )
        index = tree.add(node)
        if leaf:
            node.terminal = extract(tree.text(index)) is not None
            if not node.terminal:
                prune(node, "no answer")
        waiting += [(index, child) for child in given["children"]]
    return tree


def _values(root: Any) -> Iterator[Fraction]:
    """Values of all nodes; a leaf's is 0 or 1."""
    waiting = [root]
    for given in waiting:
        yield _value(given)
        waiting += given["children"]


def _value(given: Any) -> Fraction:
    try:
        value = Fraction(given["mc_value"]).limit_denominator(MOST)
        if not isinstance(given["text"], str) or not isinstance(given["children"], list):
            raise TypeError
    except (KeyError, TypeError, ValueError) as error:
        raise BadRow("a node needs text, mc_value and children") from error
    if not 0 <= value <= 1:
        raise BadRow(f"mc_value should be in [0, 1], not {given['mc_value']}")
    return value

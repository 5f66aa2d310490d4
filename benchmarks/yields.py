"""What a token of search brings: right ends of grown trees, setting against setting.

    whorl grow --problems dev.jsonl --set uct.simulations=4 ... --run runs/dev/four
    whorl grow --problems dev.jsonl --set uct.simulations=8 ... --run runs/dev/eight
    python benchmarks/yields.py runs/dev/four runs/dev/eight

Counts what the policy wrote alone, no reviser's solution. solved: problems with a right solution;
mixed: with a right and a wrong one, of which methods that compare can learn; per 10k: problems
solved, and different right solutions, for 10,000 sampled tokens. Settings differ fairly only on the
same problems: those that all folders have are counted.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from whorl.data.forest import read_trees
from whorl.tree import Tree


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", help="run folders of whorl grow")
    runs = parser.parse_args().runs
    forests = [{tree.problem.id: tree for tree in read_trees(run / "trees.jsonl")} for run in runs]
    shared = set.intersection(*map(set, forests))
    print(f"{len(shared)} problems")
    print("| run | solved | mixed | tokens a problem | solved per 10k | right ends per 10k |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for run, forest in zip(runs, forests, strict=True):
        print(row(run.name, [forest[name] for name in sorted(shared)]))


def row(name: str, trees: Sequence[Tree]) -> str:
    """One line of the table, of the trees of one setting."""
    outcomes = [ends(tree) for tree in trees]
    solved = sum(bool(right) for right, _ in outcomes)
    mixed = sum(bool(right and wrong) for right, wrong in outcomes)
    tokens = sum(tree.cost.get("policy", 0) for tree in trees)
    rights = sum(len(right) for right, _ in outcomes)
    return (
        f"| {name} | {solved} | {mixed} | {tokens / len(trees):,.0f}"
        f" | {1e4 * solved / tokens:.1f} | {1e4 * rights / tokens:.1f} |"
    )


def ends(tree: Tree) -> tuple[set[str], set[str]]:
    """The policy's different right solutions, and its wrong ones, as texts."""
    right, wrong = set[str](), set[str]()
    for index, node in enumerate(tree.nodes):
        own = all(tree.nodes[at].author == "policy" for at in tree.path(index))
        if own and node.reward is not None:
            (right if node.reward == 1.0 else wrong).add(tree.text(index))
    return right, wrong


if __name__ == "__main__":
    main()

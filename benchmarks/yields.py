"""What a token of search brings: right ends of grown trees, setting against setting.

    whorl grow --problems dev.jsonl --set uct.simulations=4 ... --run runs/dev/four
    whorl grow --problems dev.jsonl --set uct.simulations=8 ... --run runs/dev/eight
    python benchmarks/yields.py runs/dev/four runs/dev/eight

Counts what the policy wrote alone, no reviser's solution. solved: problems with a right solution;
mixed: with a right and a wrong one, of which methods that compare can learn; per 10k: problems
solved, and different right solutions, for 10,000 sampled tokens. Settings differ fairly only on the
same problems: those that all folders have are counted, each with all its trees, as SIGMA grows one
at every temperature.
"""

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from whorl.data.forest import read_trees
from whorl.errors import UserError
from whorl.tree import Tree


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", help="run folders of whorl grow")
    runs = parser.parse_args().runs
    try:
        forests = [forest(run) for run in runs]
    except UserError as error:
        parser.error(str(error))
    shared = set.intersection(*map(set, forests))
    if not shared:
        parser.error("there is no problem of which all runs have a tree")
    print(f"{len(shared)} problems")
    print("| run | solved | mixed | tokens a problem | solved per 10k | right ends per 10k |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for run, trees in zip(runs, forests, strict=True):
        print(row(run.name, [trees[name] for name in sorted(shared)]))


def forest(run: Path) -> dict[str, list[Tree]]:
    """The trees of a run folder, by their problems. Raises `UserError` if they cannot be read."""
    trees = defaultdict[str, list[Tree]](list)
    for tree in read_trees(run / "trees.jsonl"):
        trees[tree.problem.id].append(tree)
    return trees


def row(name: str, problems: Sequence[Sequence[Tree]]) -> str:
    """One line of the table: the trees of each problem, grown by one setting."""
    outcomes = [ends(trees) for trees in problems]
    solved = sum(bool(right) for right, _ in outcomes)
    mixed = sum(bool(right and wrong) for right, wrong in outcomes)
    tokens = sum(tree.cost.get("policy", 0) for trees in problems for tree in trees)
    rights = sum(len(right) for right, _ in outcomes)
    return (
        f"| {name} | {solved} | {mixed} | {tokens / len(problems):,.0f}"
        f" | {1e4 * solved / max(tokens, 1):.1f} | {1e4 * rights / max(tokens, 1):.1f} |"
    )


def ends(trees: Sequence[Tree]) -> tuple[set[str], set[str]]:
    """The policy's different right solutions of a problem, and its wrong ones, as texts."""
    right, wrong = set[str](), set[str]()
    for tree in trees:
        for index, node in enumerate(tree.nodes):
            if node.reward is not None and tree.first_hand(index):
                (right if node.reward == 1.0 else wrong).add(tree.text(index))
    return right, wrong


if __name__ == "__main__":
    main()

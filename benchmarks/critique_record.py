"""Records what `critique.py` reads: trees of a policy, and what a critic makes of their best paths.

    python benchmarks/critique_record.py grow FOLDER --policy openvino:MODEL?weights=int8 \\
        --problems train.jsonl.gz
    python benchmarks/critique_record.py ask FOLDER --name 1.5b --critic openvino:MODEL?weights=int8

`grow` goes on until there are `--paths` wrong and as many right best paths; `ask` puts every form
to the critic, who is the reviser too. Both append to files of the folder a line at a time and go on
where they stopped. One process each, one thread.
"""

import argparse
import json
import random
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path

from critique_forms import FORMS
from whorl.ask import Asking, Engine
from whorl.data.problems import read_problems
from whorl.drive import drive
from whorl.engines import open_engine
from whorl.engines.judge import Judges
from whorl.problem import Problem
from whorl.recipes.refinement import best_own
from whorl.rollout import Sampling
from whorl.search import Uct, mcts, within_budget
from whorl.tree import ROOT, Tree

UCT = Uct(simulations=3, parallel=3, depth=12)
SAMPLING = Sampling(temperature=0.7, step_tokens=192)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    growing = commands.add_parser("grow")
    growing.add_argument("folder", type=Path)
    growing.add_argument("--policy", required=True)
    growing.add_argument("--problems", type=Path, required=True)
    growing.add_argument("--paths", type=int, default=60, help="wrong ones, and right ones")
    growing.add_argument("--width", type=int, default=24, help="searches in flight")
    asking = commands.add_parser("ask")
    asking.add_argument("folder", type=Path)
    asking.add_argument("--critic", required=True)
    asking.add_argument("--name", required=True, help="the critic's, in what is recorded")
    asking.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    asking.add_argument("--width", type=int, default=16, help="paths in flight")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    (record_trees if options.command == "grow" else record_replies)(options)


def record_trees(options: argparse.Namespace) -> None:
    """Append trees in the order of their problems, drawn by lot, until there are enough paths."""
    file = options.folder / "trees.jsonl"
    trees = read_trees(file)
    problems = list(read_problems(options.problems))
    random.Random(0).shuffle(problems)
    known = {tree.problem.id for tree in trees}
    lacking = (problem for problem in problems if problem.id not in known)
    judges = Judges()
    engines: dict[str, Engine] = {"policy": open_engine(options.policy, processes=0)}
    searches = ((problem.id, grown(problem)) for problem in lacking)
    with file.open("a", encoding="utf-8") as out:
        for finished in drive(searches, engines | {"judge": judges}, width=options.width):
            if finished.result is None:
                print(f"{finished.key}: {finished.error}", flush=True)
                continue
            tree = finished.result
            tree.cost = dict(finished.cost)
            out.write(tree.to_json() + "\n")
            out.flush()
            trees.append(tree)
            counts = [sum(sort == kind for sort in map(sorted_as, trees)) for kind in "wrn"]
            print("wrong {}, right {}, without a path {}".format(*counts), flush=True)
            if min(counts[:2]) >= options.paths:
                break
    judges.close()
    engines["policy"].close()


def record_replies(options: argparse.Namespace) -> None:
    """Append what became of each best path by each form: forms in order, and within a form a wrong
    path and a right one in turn, as long as there are both."""
    file = options.folder / "replies.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    known = {(row["problem"], row["critic"], row["form"]) for row in map(json.loads, lines)}
    trees = read_trees(options.folder / "trees.jsonl")
    wrong, right = ([tree for tree in trees if sorted_as(tree) == sort] for sort in "wr")
    pairs = [tree for pair in zip_longest(wrong, right) for tree in pair if tree]
    open_ = {
        f"{form}/{tree.problem.id}": (form, tree)
        for form in options.forms
        for tree in pairs
        if (tree.problem.id, options.name, form) not in known
    }
    if not open_:
        return
    judges, engine = Judges(), open_engine(options.critic, processes=0)
    by_role: dict[str, Engine] = dict.fromkeys(("policy", "critic", "reviser"), engine)
    searches = ((key, FORMS[form](tree)) for key, (form, tree) in open_.items())
    with file.open("a", encoding="utf-8") as out:
        for finished in drive(searches, by_role | {"judge": judges}, width=options.width):
            if finished.result is None:
                print(f"{finished.key}: {finished.error}", flush=True)
                continue
            form, tree = open_[finished.key]
            row = {"problem": tree.problem.id, "critic": options.name, "form": form}
            row |= asdict(finished.result) | {"tokens": sum(finished.cost.values())}
            out.write(json.dumps(row) + "\n")
            out.flush()
    judges.close()
    engine.close()


def grown(problem: Problem) -> Asking[Tree]:
    tree = Tree(problem)
    with within_budget(tree):
        yield from mcts(tree, SAMPLING, UCT)
    return tree


def read_trees(file: Path) -> list[Tree]:
    if not file.exists():
        return []
    return [Tree.from_json(line) for line in file.read_text(encoding="utf-8").splitlines()]


def sorted_as(tree: Tree) -> str:
    """Of a tree's best path: `w`rong, `r`ight, or that there is `n`one."""
    best = best_own(tree)
    if best == ROOT:
        return "n"
    return "r" if tree.nodes[best].reward == 1.0 else "w"


if __name__ == "__main__":
    main()

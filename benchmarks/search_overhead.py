"""What search itself costs: CPU and memory per node, with replies from a function.

The function's own time is not counted. Prints one JSON object:

ms_per_node_one_tree: CPU milliseconds per node of one tree of `--nodes` nodes, by `mcts`.
ms_per_node_many_trees: the same for `--trees` small trees in flight at once, by `drive`.
bytes_per_node: memory of those trees, held at once, per node.
ms_per_node_grown: the same for `whorl grow` with SIGMA: journal, forest and all.
rss_mb_1000, rss_mb_30000: peak memory of a process that grows so many problems this way.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from random import Random

from whorl.ask import Ask, Moves, Replies, Reply
from whorl.data.forest import read_trees
from whorl.drive import drive
from whorl.engines import toy
from whorl.engines.function import Function
from whorl.folder import RunFolder
from whorl.problem import Problem
from whorl.recipes.sigma import Sigma
from whorl.search import Sampling, Uct, mcts
from whorl.stages import Plan, grow
from whorl.tree import Tree

SIMULATIONS = 10**9  # trees here stop at a number of nodes
SMALL = Sigma(uct=Uct(simulations=4), temperatures=(0.7,))


class Timed:
    """A function as engine, and the CPU seconds the function took."""

    def __init__(self, function: Callable[[Ask], Replies]) -> None:
        self.seconds = 0.0
        self.engine = Function(self._answer)
        self._function = function

    def _answer(self, ask: Ask) -> Replies:
        start = time.process_time()
        replies = self._function(ask)
        self.seconds += time.process_time() - start
        return replies


def answer(ask: Ask) -> Replies:
    """Steps of some 60 characters; solutions have four or more of them, half are right."""
    rng = Random(ask.seed)
    done = ask.prompt.prefix.count("\n\n")
    return tuple(_step(rng, done) for _ in range(ask.n))


def _step(rng: Random, done: int) -> Reply:
    if done >= 3 and rng.random() < 0.15:
        return Reply(f"The answer is \\boxed{{{rng.randrange(2)}}}.", "eos", 12)
    number = rng.randrange(10**6)
    return Reply(f"We add {number} and {done}, so the next sum is {number + done}.", "stop", 20)


def plant(problem: Problem, nodes: int) -> Moves[Tree]:
    """Grow one tree by `mcts` until it has `nodes` nodes."""
    tree = Tree(problem)
    moves = mcts(tree, Sampling(), Uct(simulations=SIMULATIONS))
    asks = next(moves)
    while len(tree.nodes) < nodes:
        asks = moves.send((yield asks))
    return tree


def grown_in_flight(trees: int, nodes: int) -> tuple[float, list[Tree]]:
    """Grow that many trees at once; CPU milliseconds per node, and the trees."""
    timed = Timed(answer)
    searches = (
        (str(number), plant(Problem(str(number), f"Is {number} odd?", "1"), nodes))
        for number in range(trees)
    )
    start = time.process_time()
    ended = list(drive(searches, {"policy": timed.engine}, width=trees))
    seconds = time.process_time() - start - timed.seconds
    found = [finished.result for finished in ended if finished.result is not None]
    assert len(found) == trees, ended[0].error
    return 1000 * seconds / sum(len(tree.nodes) for tree in found), found


def bytes_per_node(trees: int, nodes: int) -> float:
    """Memory that finished trees hold, per node."""
    tracemalloc.start()
    _, found = grown_in_flight(trees, nodes)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size / sum(len(tree.nodes) for tree in found)


def grow_run(problems: int) -> dict[str, float]:
    """`whorl grow` in this process: CPU milliseconds per node, peak memory in MB."""
    timed = Timed(toy.answer)
    with tempfile.TemporaryDirectory() as base:
        path = Path(base) / "run"
        start = time.process_time()
        with RunFolder.open(path, {}, version="benchmark") as folder:
            roles = ("policy", "critic", "reviser")
            engines = dict.fromkeys(roles, timed.engine)
            grow(folder, lambda: toy.problems(problems), Plan(SMALL, "sigma"), engines)
        seconds = time.process_time() - start - timed.seconds
        peak = _peak_mb()
        nodes = sum(len(tree.nodes) for tree in read_trees(folder.trees))
    return {"ms_per_node": 1000 * seconds / nodes, "rss_mb": peak, "nodes": nodes}


def _peak_mb() -> float:
    """Of this program alone: `ru_maxrss` would begin with the parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def in_own_process(problems: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--grow", str(problems)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=10_000, help="of the one tree")
    parser.add_argument("--trees", type=int, default=10_000)
    parser.add_argument("--small", type=int, default=30, help="nodes of each of the many trees")
    parser.add_argument("--problems", type=int, nargs=2, default=[1_000, 30_000])
    parser.add_argument("--grow", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.grow:
        print(json.dumps(grow_run(options.grow)))
        return
    few, many = options.problems
    runs = {count: in_own_process(count) for count in (few, many)}
    found = {
        "ms_per_node_one_tree": grown_in_flight(1, options.nodes)[0],
        "ms_per_node_many_trees": grown_in_flight(options.trees, options.small)[0],
        "bytes_per_node": bytes_per_node(options.trees // 10, options.small),
        "ms_per_node_grown": runs[many]["ms_per_node"],
        f"rss_mb_{few}": runs[few]["rss_mb"],
        f"rss_mb_{many}": runs[many]["rss_mb"],
    }
    print(json.dumps({name: round(figure, 4) for name, figure in found.items()}))


if __name__ == "__main__":
    main()

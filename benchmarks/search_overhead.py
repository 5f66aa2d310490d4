"""What search itself costs: CPU and memory per node, with replies from a function.

The function's own time is not counted. Prints one JSON object as its last line:

ms_per_node_one_tree: CPU milliseconds per node of one tree of `--nodes` nodes, by `mcts`.
ms_per_node_many_trees: the same for `--trees` small trees in flight at once, by `drive`.
bytes_per_node: memory of such trees, held at once, per node, text included.
ms_per_node_grown: CPU milliseconds per node for `whorl grow` with SIGMA: journal, forest and all.
rss_mb_1000, rss_mb_30000: peak memory of a process that grows so many problems this way.

    python benchmarks/search_overhead.py --curve 1000 10000 100000 1000000 --plot curve.svg

prints, instead, how time and memory per node change with the number of nodes: in small trees, in
one tree, and in one whose problem nobody solves, each point in a process of its own. Memory is what
the process grew by, less the nodes' text. Where right solutions are known, UCT visits them again
and again, and few simulations find a new node: hence the columns of simulations per node, steps per
simulation, and microseconds per step, which is what a node costs more than one of small trees, over
the steps of its simulations. A million nodes in that tree take most of an hour: they come last, and
the plot is written after every point.
"""

import argparse
import gc
import json
import math
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from random import Random

from whorl.ask import Ask, Asking, Replies, Reply
from whorl.data.forest import read_trees
from whorl.drive import drive
from whorl.engines import toy
from whorl.engines.crew import Here
from whorl.engines.function import Function
from whorl.loop.folder import RunFolder
from whorl.loop.grow import GrowPlan, grow
from whorl.problem import Problem
from whorl.recipes.sigma import Sigma
from whorl.rollout import Sampling
from whorl.search import Uct, mcts
from whorl.tree import ROOT, Tree

SIMULATIONS = 10**9  # trees here stop at a number of nodes
LIMIT_MS, LIMIT_BYTES = 0.3, 2048  # per node; what we set ourselves
SIZE = 100  # nodes of a small tree
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


def answer(ask: Ask, *, solvable: bool = True) -> Replies:
    """Steps of some 60 characters; solutions have four or more of them, half are right or none."""
    rng = Random(ask.seed)
    done = ask.prompt.prefix.count("\n\n")
    return tuple(_step(rng, done, solvable) for _ in range(ask.n))


def _step(rng: Random, done: int, solvable: bool) -> Reply:
    if done >= 3 and rng.random() < 0.15:
        return Reply(f"The answer is \\boxed{{{rng.randrange(2) * solvable}}}.", "eos", 12)
    number = rng.randrange(10**6)
    return Reply(f"We add {number} and {done}, so the next sum is {number + done}.", "stop", 20)


def plant(problem: Problem, nodes: int) -> Asking[Tree]:
    """Grow one tree by `mcts` until it has `nodes` nodes."""
    tree = Tree(problem)
    moves = mcts(tree, Sampling(), Uct(simulations=SIMULATIONS))
    asks = next(moves)
    while len(tree.nodes) < nodes:
        asks = moves.send((yield asks))
    return tree


def grown_in_flight(trees: int, nodes: int, *, solvable: bool = True) -> tuple[float, list[Tree]]:
    """Grow that many trees at once; CPU milliseconds per node, and the trees."""
    timed = Timed(partial(answer, solvable=solvable))
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


@dataclass(frozen=True, slots=True)
class Point:
    """Costs per node of so many nodes; simulations per node, and their steps, per node as well."""

    nodes: int
    ms: float
    bytes: float
    simulations: float
    steps: float


def point(trees: int, nodes: int, *, solvable: bool) -> Point:
    """Grow that many trees at once, in this process."""
    grown_in_flight(1, SIZE)  # what is loaded at the first use
    gc.collect()
    before = _memory("VmRSS")
    ms, found = grown_in_flight(trees, nodes, solvable=solvable)
    gc.collect()
    grown = _memory("VmRSS") - before
    total = sum(len(tree.nodes) for tree in found)
    text = sum(sys.getsizeof(node.text) for tree in found for node in tree.nodes)
    simulations = sum(tree.nodes[ROOT].visits for tree in found)
    steps = sum(node.visits for tree in found for node in tree.nodes) - simulations
    return Point(total, ms, (grown - text) / total, simulations / total, steps / total)


def curve(sizes: Sequence[int]) -> Iterator[dict[str, list[Point]]]:
    """A point per size, in one tree and in small ones; printed as they are measured. Yields the
    curves as far as they have come after each point."""
    print(f"{'':22}{'nodes':>12}{'ms/node':>10}{'bytes/node':>12}", end="")
    print(f"{'simulations/node':>18}{'steps/simulation':>18}{'us/step':>9}")
    small = f"trees of {SIZE}"
    curves: dict[str, list[Point]] = {small: [], "one tree, unsolved": [], "one tree": []}
    for size in sizes:
        for name, points in curves.items():
            trees = size // SIZE if name == small else 1
            world = ["--unsolved"] if name.endswith("unsolved") else []
            found = in_own_process("--point", str(trees), str(size // trees), *world)
            here = Point(**found)  # type: ignore[arg-type]
            points.append(here)
            step = 1000 * (here.ms - curves[small][-1].ms) / here.steps if here.steps else 0.0
            print(
                f"{name:22}{here.nodes:12,}{here.ms:10.4f}{here.bytes:12,.0f}"
                f"{here.simulations:18.2f}{here.steps / (here.simulations or 1):18.2f}"
                f"{f'{step:.2f}' if here.simulations > 1 else '':>9}",
                flush=True,
            )
            yield curves


def plot(curves: Mapping[str, Sequence[Point]]) -> str:
    """Two panels as SVG, time and memory per node against the number of nodes (logarithmic)."""
    colours = dict(zip(curves, ("#1f77b4", "#2a9d4a", "#d95f02"), strict=True))
    panels = (
        ("CPU milliseconds per node", lambda p: p.ms, LIMIT_MS, 0.1),
        ("bytes per node beyond its text", lambda p: p.bytes, LIMIT_BYTES, 512),
    )
    svg = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 330" font-family="sans-serif" '
        'font-size="13"><rect width="860" height="330" fill="white"/>'
    ]
    sizes = [p.nodes for points in curves.values() for p in points]
    low, high = math.log10(min(sizes)), math.log10(max(sizes))
    for number, (title, value, limit, tick) in enumerate(panels):
        left = 60 + 420 * number
        top = max(limit, *(value(p) for points in curves.values() for p in points)) * 1.1

        def at(
            nodes: float, cost: float, left: int = left, top: float = top
        ) -> tuple[float, float]:
            across = (math.log10(nodes) - low) / max(high - low, 1e-9)
            return left + 340 * across, 270 - 220 * cost / top

        svg.append(f'<text x="{left}" y="30" font-weight="bold">{title}</text>')
        for k in range(int(top / tick) + 1):
            _, y = at(10**low, k * tick)
            svg.append(f'<path d="M{left} {y:.1f}h340" stroke="#ddd"/>')
            svg.append(
                f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{k * tick:g}</text>'
            )
        _, y = at(10**low, limit)
        svg.append(f'<path d="M{left} {y:.1f}h340" stroke="#555" stroke-dasharray="5 4"/>')
        for name, points in curves.items():
            places = [at(p.nodes, value(p)) for p in points]
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            svg.append(f'<polyline points="{line}" fill="none" stroke="{colours[name]}"/>')
            svg += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colours[name]}"/>'
                for x, y in places
            ]
        for exponent in range(math.ceil(low - 0.01), math.floor(high + 0.01) + 1):
            x, _ = at(10**exponent, 0)
            svg.append(f'<text x="{x:.1f}" y="290" text-anchor="middle">{10**exponent:,}</text>')
    for number, (name, colour) in enumerate(colours.items()):
        svg.append(f'<text x="{60 + 140 * number}" y="316" fill="{colour}">{name}</text>')
    svg.append(
        '<text x="480" y="316" fill="#555">nodes; dashed: the limit we set ourselves</text></svg>'
    )
    return "\n".join(svg)


def grow_run(problems: int) -> dict[str, float]:
    """`whorl grow` in this process: CPU milliseconds per node, peak memory in MB."""
    timed = Timed(toy.answer)
    with tempfile.TemporaryDirectory() as base:
        path = Path(base) / "run"
        start = time.process_time()
        with RunFolder.open(path, {}, version="benchmark") as folder:
            roles = ("policy", "critic", "reviser")
            engines = dict.fromkeys(roles, timed.engine)
            grow(folder, toy.problems(problems), GrowPlan(SMALL, "sigma"), Here(engines))
        seconds = time.process_time() - start - timed.seconds
        peak = _memory("VmHWM") / 2**20
        nodes = sum(len(tree.nodes) for tree in read_trees(folder.trees))
    return {"ms_per_node": 1000 * seconds / nodes, "rss_mb": peak, "nodes": nodes}


def _memory(name: str) -> int:
    """Bytes of this program alone: `ru_maxrss` would begin with the parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{name}:")[2].split()[0]) * 1024


def in_own_process(*arguments: str) -> dict[str, float]:
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=10_000, help="of the one tree")
    parser.add_argument("--trees", type=int, default=10_000)
    parser.add_argument("--small", type=int, default=SIZE, help="nodes of each of the many trees")
    parser.add_argument("--problems", type=int, nargs=2, default=[1_000, 30_000])
    parser.add_argument("--grow", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--curve", type=int, nargs="+", metavar="NODES", help="see above")
    parser.add_argument("--plot", type=Path, help="SVG file for the curve")
    parser.add_argument("--point", type=int, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--unsolved", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.grow:
        print(json.dumps(grow_run(options.grow)))
        return
    if options.point:
        print(json.dumps(asdict(point(*options.point, solvable=not options.unsolved))))
        return
    if options.curve:
        for curves in curve(options.curve):
            if options.plot:
                options.plot.write_text(plot(curves))
        print(json.dumps({name: [asdict(p) for p in points] for name, points in curves.items()}))
        return
    few, many = options.problems
    runs = {count: in_own_process("--grow", str(count)) for count in (few, many)}
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

"""Searches on a Ray cluster of this machine, against simulated servers (benchmarks/rig.py).

The servers are simulations with so many slots and a fixed latency, and all machines of the cluster
are raylets on this one: figures say what leases, carrying and the driver cost, not what a network
or models do. Prints one JSON object as its last line.

    python benchmarks/cluster.py scale    1, 2, 4, 8 workers, each with a server replica more;
                                          --plot FILE.svg draws trees a second by workers
    python benchmarks/cluster.py faults   SIGKILL of workers, a raylet, the driver and a server, and
                                          a raylet and its workers stopped for 20 s

linear_share_8: trees a second with 8 workers, over 8 times those with one.
trees_per_second: by number of workers; asks_per_second of the servers all together.
driver_ms_per_tree: CPU time of the driver for a tree; driver_mb_per_1000: what its memory grew by
    for a thousand.
exactly_once: every problem has one tree, and no search failed.
identical: the trees are byte for byte those that one process without Ray grew.
fault_overhead: seconds under faults over seconds without them, on the same cluster.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import psutil

import rig
from whorl import settings
from whorl.budget.purse import Purse
from whorl.data.forest import read_keys
from whorl.data.problems import write_problems
from whorl.data.synthetic import problems
from whorl.engines.cluster import Address
from whorl.engines.cluster.actors import connected
from whorl.engines.cluster.crew import on_cluster
from whorl.engines.roles import Engines
from whorl.loop.folder import RunFolder
from whorl.loop.grow import GrowPlan, grow, ready
from whorl.loop.run import Run
from whorl.loop.split import problems_of

RECIPE = {"name": "sigma", "uct": {"simulations": 2}, "temperatures": [0.7]}
STORE = 80 << 20


def servers(stack: ExitStack, count: int, latency: float, slots: int) -> list[str]:
    """Base URLs of so many simulated servers."""
    own = rig.Rig(latency=latency, slots=slots)
    return [stack.enter_context(rig.running(own)) for _ in range(count)]


def run_of(base: Path, name: str, count: int, urls: Sequence[str], width: int) -> Run:
    """A run of `count` problems. width: of a worker."""
    file = base / f"{count}.jsonl"
    if not file.exists():
        write_problems(file, islice(problems("pool", count, seed=0, levels=[1]), count))
    engines = Engines(*["server:" + ",".join(urls)] * 3)
    return Run(base / name, file, engines, settings.read_recipe(RECIPE), width=width)


def scale(
    base: Path, workers: Sequence[int], each: int, latency: float, slots: int
) -> dict[str, Any]:
    """Trees a second by number of workers, each of which brings a server and `each` problems."""
    rates: dict[int, float] = {}
    asks: dict[int, float] = {}
    driver = psutil.Process()
    cpu = grew = 0.0
    with ExitStack() as stack:
        urls = servers(stack, max(workers), latency, slots)
        here = f"local:{max(workers)}"
        stack.enter_context(connected(Address.read(here)))  # it stays for all of them
        for count in workers:
            run = run_of(base, f"scale-{count}", each * count, urls[:count], 2 * slots)
            address = Address.read(f"{here}?workers={count}")
            before = sum(rig.stats(url)["requests"] for url in urls)
            with (
                on_cluster(address, base, run.engines) as crews,
                RunFolder.open(run.folder, {}, version="benchmark") as folder,
            ):
                crew = crews.crew()
                memory, spent = driver.memory_info().rss, time.process_time()
                begun = time.monotonic()
                plan = replace(GrowPlan.of(run), purse=Purse(run.budget))
                grown = grow(folder, problems_of(run), plan, crew)
                seconds = time.monotonic() - begun
                grew = driver.memory_info().rss - memory
                cpu = (time.process_time() - spent) / grown.trees
            assert grown.trees == each * count, grown
            rates[count] = grown.trees / seconds
            asks[count] = (sum(rig.stats(url)["requests"] for url in urls) - before) / seconds
            told = f"{count} workers: {rates[count]:.2f} trees/s, {asks[count]:.1f} asks/s"
            print(f"{told}, driver {1000 * cpu:.1f} ms/tree", file=sys.stderr, flush=True)
    first, last = min(workers), max(workers)
    return {
        "simulated": True,
        "slots": slots,
        "latency": latency,
        "trees_per_second": {count: round(rate, 3) for count, rate in rates.items()},
        "asks_per_second": {count: round(rate, 1) for count, rate in asks.items()},
        f"linear_share_{last}": round(rates[last] * first / (rates[first] * last), 3),
        "driver_ms_per_tree": round(1000 * cpu, 2),
        "driver_mb_per_1000": round(grew / 1e6 / (each * last) * 1000, 1),
        "trees_per_second_at_most": round(1 / cpu, 1),
    }


def drawn(rates: Mapping[int, float]) -> str:
    """Trees a second by number of workers, and what they would be if each added as much as the
    first, as SVG."""
    width, height, left, top = 420, 260, 60, 30
    most = max(rates)
    high = rates[min(rates)] / min(rates) * most

    def at(count: float, rate: float) -> str:
        return f"{left + count / most * width:.1f},{top + height * (1 - rate / high):.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 110} '
        f'{top + height + 50}" font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{left}" y="18" font-weight="bold">trees a second, by workers</text>',
        f'<polyline points="{at(0, 0)} {at(most, high)}" fill="none" stroke="#999" '
        'stroke-dasharray="5 4"/>',
        f'<polyline points="{" ".join(at(*pair) for pair in rates.items())}" fill="none" '
        'stroke="#1f6feb" stroke-width="2"/>',
    ]
    for count, rate in rates.items():
        x, y = at(count, rate).split(",")
        share = rate / (high * count / most)
        parts += [
            f'<circle cx="{x}" cy="{y}" r="3.5" fill="#1f6feb"/>',
            f'<text x="{x}" y="{top + height + 20}" text-anchor="middle">{count}</text>',
            f'<text x="{float(x) + 6}" y="{float(y) + 18}">{rate:.2f} ({share:.2f})</text>',
        ]
    parts.append(
        f'<text x="{left}" y="{top + height + 40}">dashed: linear; in brackets: the share of it'
        "</text></svg>"
    )
    return "\n".join(parts) + "\n"


COMMAND = """
import sys
from whorl.__main__ import main
sys.argv[0] = "whorl"
main()
"""


class Trouble:
    """Faults on the way of a run, and how many of each there were."""

    def __init__(self, cluster: Any, nodes: list[Any], replicas: "Replicas", seed: int) -> None:
        self.done: Counter[str] = Counter()
        self._cluster, self._nodes, self._replicas = cluster, nodes, replicas
        self._dice = random.Random(seed)

    def worker(self) -> None:
        """SIGKILL of a worker."""
        raylets = [node.all_processes["raylet"][0].process.pid for node in self._nodes]
        children = [child for pid in raylets for child in psutil.Process(pid).children()]
        if found := [child for child in children if "ray::Worker" in _said(child)]:
            with suppress(psutil.Error):
                self._dice.choice(found).kill()
                self.done["workers"] += 1

    def raylet(self) -> None:
        """SIGKILL of a raylet; another machine joins."""
        self._cluster.remove_node(self._nodes.pop(), allow_graceful=False)
        self.done["raylets"] += 1
        self._nodes.append(started(self._cluster.add_node, num_cpus=2))

    def server(self) -> None:
        """SIGKILL of a server replica, which comes back after 3 s."""
        self._replicas.kill(self._dice.randrange(len(self._replicas.urls)))
        self.done["servers"] += 1

    def pause(self, seconds: float) -> None:
        """A raylet and all its processes stop for a while, as behind a network that is cut."""
        node = self._nodes[0]
        (raylet,) = node.all_processes["raylet"]
        process = psutil.Process(raylet.process.pid)
        family = [process, *process.children(recursive=True)]
        for each in family:
            with suppress(psutil.Error):
                each.suspend()
        time.sleep(seconds)
        for each in family:
            with suppress(psutil.Error):
                each.resume()
        self.done["stopped_for_20_s"] += 1


def _said(process: Any) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


class Replicas:
    """Simulated servers that can be killed, and come back at their port."""

    def __init__(self, count: int, latency: float, slots: int) -> None:
        self._rig = rig.Rig(latency=latency, slots=slots)
        self._contexts = [rig.running(self._rig) for _ in range(count)]
        self.urls = [context.__enter__() for context in self._contexts]

    def kill(self, number: int) -> None:
        self._contexts[number].__exit__(None, None, None)
        time.sleep(3.0)
        port = int(self.urls[number].rpartition(":")[2].partition("/")[0])
        self._contexts[number] = rig.running(self._rig, port=port)
        self._contexts[number].__enter__()

    def close(self) -> None:
        for context in self._contexts:
            context.__exit__(None, None, None)


def started(start: Any, **more: Any) -> Any:
    """Start a machine; a raylet gives up on the agents beside it after 15 s."""
    said = {"num_cpus": 8, "object_store_memory": STORE, "include_log_monitor": False, **more}
    for _ in range(5):
        with suppress(Exception):
            return start(**said)
    return start(**said)


def faults(base: Path, count: int, latency: float, slots: int, seed: int) -> dict[str, Any]:
    """A run with faults, beside one on the same cluster without and one without Ray."""
    from ray.cluster_utils import Cluster

    replicas = Replicas(3, latency, slots)
    try:
        alone = run_of(base, "alone", count, replicas.urls, 3 * slots)
        with ready(alone) as prepared, RunFolder.open(alone.folder, {}, version="b") as folder:
            grow(folder, problems_of(alone), GrowPlan.of(alone), prepared.crew)

        def head(**said: Any) -> Any:
            return Cluster(initialize_head=True, head_node_args={**said, "num_cpus": 0})

        cluster = started(head, include_dashboard=False, no_monitor=True)
        nodes = [started(cluster.add_node, num_cpus=2) for _ in range(2)]
        told = {}
        for name in ("calm", "troubled"):
            trouble = Trouble(cluster, nodes, replicas, seed)
            begun = time.monotonic()
            lives = played(base, name, alone, cluster.address, trouble if name != "calm" else None)
            told[name] = (time.monotonic() - begun, lives, trouble.done)
            print(name, told[name], file=sys.stderr, flush=True)
        cluster.shutdown()
    finally:
        replicas.close()
    wanted = (alone.folder / "trees.jsonl").read_bytes()
    same = [(base / name / "trees.jsonl").read_bytes() == wanted for name in told]
    keys = [Counter(read_keys(base / name / "trees.jsonl")) for name in told]
    failures = [(base / name / "failures.jsonl").read_bytes() for name in told]
    once = all(len(each) == count and set(each.values()) == {1} for each in keys)
    return {
        "simulated": True,
        "problems": count,
        "killed": dict(told["troubled"][2]) | {"drivers": told["troubled"][1] - 1},
        "exactly_once": once and not any(failures),
        "identical": all(same),
        "seconds": {name: round(took, 1) for name, (took, _, _) in told.items()},
        "fault_overhead": round(told["troubled"][0] / told["calm"][0], 2),
    }


def played(base: Path, name: str, like: Run, address: str, trouble: Trouble | None) -> int:
    """Play `whorl grow` to its end; returns how many times it was given. Its first two lives are in
    trouble, and the first is killed."""
    engine = like.engines.policy
    command = [
        *(
            sys.executable,
            "-c",
            COMMAND,
            "grow",
            "--problems",
            str(like.problems),
            "--policy",
            engine,
        ),
        *("--run", str(base / name), "--width", str(like.width), "--cluster", address),
        *("--set", "uct.simulations=2", "--set", "temperatures=[0.7]"),
    ]
    trees, count = base / name / "trees.jsonl", _lines(like.problems)
    lives = 0
    while True:
        lives += 1
        child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        if trouble and lives == 1:
            for share, fault in (
                (0.1, trouble.worker),
                (0.2, trouble.server),
                (0.3, trouble.worker),
            ):
                _wait(child, trees, share * count)
                fault()
            _wait(child, trees, 0.4 * count)
            child.send_signal(signal.SIGKILL)
            child.communicate()
            continue
        if trouble and lives == 2:
            for share, fault in (
                (0.5, trouble.worker),
                (0.6, trouble.raylet),
                (0.8, lambda: trouble.pause(20.0)),
            ):
                _wait(child, trees, share * count)
                fault()
        _, said = child.communicate()
        if child.returncode == 0:
            return lives
        print(said[-1000:], file=sys.stderr)
        assert lives < 6, said


def _wait(child: "subprocess.Popen[str]", trees: Path, count: float) -> None:
    while child.poll() is None and _lines(trees) < count:
        time.sleep(0.1)


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("scale", "faults"))
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--plot", type=Path, help="an SVG of the curve to write (scale)")
    parser.add_argument("--each", type=int, default=60, help="problems of a worker (scale)")
    parser.add_argument("--problems", type=int, default=2000, help="of the run (faults)")
    parser.add_argument("--latency", type=float, default=1.0, help="seconds of an answer")
    parser.add_argument("--slots", type=int, default=8, help="of a server")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    os.environ["PYTHONWARNINGS"] = "ignore"
    with tempfile.TemporaryDirectory() as name:
        if given.what == "scale":
            found = scale(Path(name), given.workers, given.each, given.latency, given.slots)
            if given.plot:
                given.plot.write_text(drawn(found["trees_per_second"]), encoding="utf-8")
        else:
            found = faults(Path(name), given.problems, given.latency, given.slots, given.seed)
    print(json.dumps(found))


if __name__ == "__main__":
    main()

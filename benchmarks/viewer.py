"""What the viewer costs, in Chromium where it is about a page.

    python benchmarks/viewer.py [--trees 10000]

Prints one JSON object: open_10000_s, from asking for the list of 10,000 trees to seeing its rows,
their index made before; index_s, making it; server_rss_mb, the most memory that the server held;
draw_2000_nodes_s, from asking for the page of a tree of 2,000 nodes to its drawing; live_lag_s,
from a count that changes to its number on the page; report_100_mb, the report of 100 trees;
events_cost, the share of a search's CPU time that events on disk take, the engine costing nothing:
measured where it is spent, in the calls and in the thread of events. events_ratio compares whole
runs with and without them, the median of some pairs; it is off by a percent either way.
"""

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import wraps
from pathlib import Path
from random import Random
from statistics import median
from unittest.mock import patch

from whorl import Function, toy
from whorl.budget import Budget
from whorl.loop.folder import RunFolder
from whorl.problem import Problem
from whorl.recipes import Sigma
from whorl.tree import ROOT, Node, Tree
from whorl.view.index import Index
from whorl.view.report import write_report
from whorl.view.shelf import Shown
from whorl.view.summary import summary
from whorl.watch import Progress, Quiet, events
from whorl.watch.events import recorded

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
WORDS = ("the sum", "of both sides", "is then divided", "by so many parts", "that are left")
REPEATS = 5


def made_up(number: int, nodes: int, random: Random) -> Tree:
    """A tree of so many nodes, with steps of some twenty words."""
    tree = Tree(Problem(f"p:{number}", f"Question {number}, which is long?", "7", level="3"))
    tree.provenance = {"recipe": "sigma", "arm": "a"}
    tree.cost = {"policy": 40 * nodes}
    while len(tree.nodes) < nodes:
        parent = random.randrange(max(0, len(tree.nodes) - 30), len(tree.nodes))
        if tree.nodes[parent].terminal or tree.depth(parent) > 12:
            parent = ROOT
        end = random.random() < 0.3
        text = " ".join(random.choices(WORDS, k=7)) + f", so $x = \\frac{{{parent}}}{{2}}$.\n\n"
        reward = float(random.random() < 0.5) if end else None
        node = Node(parent, text, terminal=end, reward=reward, visits=2, total=1.0, tokens=40)
        tree.add(node)
    tree.tip = next(tree.leaves(), ROOT)
    return tree


def write_run(folder: Path, trees: int) -> Path:
    """A run folder with so many trees of 30 nodes, of which 200 are different, and one of 2,000."""
    with RunFolder.open(folder, {"recipe": {"name": "sigma"}}, version="0"):
        pass
    random = Random(0)
    kinds = [made_up(number, 30, random) for number in range(min(trees, 200))]
    with (folder / "trees.jsonl").open("w") as file:
        for number in range(trees):
            tree = kinds[number % len(kinds)]
            tree.problem = replace(tree.problem, id=f"p:{number}")
            file.write(tree.to_json() + "\n")
        file.write(made_up(trees, 2_000, random).to_json() + "\n")
    return folder


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, int]]:
    """Address and process of a viewer."""
    command = [sys.executable, "-m", "whorl", "view", "--port", "0", str(folder)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        found = re.search(r"http://\S+\d", process.stderr.readline())
        assert found
        yield found[0], process.pid
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(10)


def peak_mb(pid: int) -> float:
    """The most memory that a process held, in MB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1000


def pages(folder: Path, trees: int) -> dict[str, float]:
    """Seconds of pages, in Chromium."""
    from playwright.sync_api import sync_playwright

    name = folder.name
    with serving(folder) as (address, pid), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page()
        page.set_default_timeout(120_000)
        page.goto(f"{address}/static/view.css")  # the server is up

        def seconds(path: str, selector: str) -> float:
            times = []
            for _ in range(REPEATS):
                start = time.perf_counter()
                page.goto(f"{address}/r/{name}/{path}")
                page.wait_for_selector(selector)
                times.append(time.perf_counter() - start)
            return median(times)

        opened = seconds(f"trees/{name}/", ".trees tbody tr")
        filtered = seconds(f"trees/{name}/?words=which+long&sort=tokens", ".trees tbody tr")
        drawn = seconds(f"trees/{name}/t/p:{trees}%23a", ".canvas.moved")
        lag = live_lag(page, f"{address}/r/{name}/", folder)
        browser.close()
        return {
            "open_10000_s": opened,
            "search_10000_s": filtered,
            "draw_2000_nodes_s": drawn,
            "live_lag_s": lag,
            "server_rss_mb": peak_mb(pid),
        }


def live_lag(page, address: str, folder: Path) -> float:  # type: ignore[no-untyped-def]
    """Seconds from a count that changes to its number on the page, the median of some."""
    progress = Progress(total=1_000)
    lags = []
    with (
        recorded(Quiet(), folder / "events.jsonl", {}) as watch,
        watch.stage("grow", progress),
    ):
        page.goto(address)
        page.wait_for_selector(".life.running")
        for number in range(REPEATS):
            time.sleep(1.3 + 0.17 * number)
            progress.done += 1
            start = time.perf_counter()
            page.wait_for_selector(f"text={progress.done} / 1")
            lags.append(time.perf_counter() - start)
    return median(lags)


class Spent:
    """CPU seconds that calls of some functions took, in whatever thread."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._lock = threading.Lock()

    def counted(self, function):  # type: ignore[no-untyped-def]
        @wraps(function)
        def call(*args, **kwargs):  # type: ignore[no-untyped-def]
            start = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                with self._lock:
                    self.seconds += time.thread_time() - start

        return call


def events_cost(folder: Path, problems: int) -> dict[str, float]:
    """Share of the CPU time of searches that events take, and whole runs with them against runs
    without."""
    recipe = Sigma()
    engines = dict.fromkeys(recipe.roles, Function(toy.answer))
    found = list(toy.problems(problems))

    def took(name: str, *, kept: bool) -> float:
        start = time.process_time()
        place = folder / name
        place.mkdir()
        outer = recorded(Quiet(), place / "e.jsonl", {}) if kept else nullcontext(Quiet())
        with outer as watch:
            searches(place / "run", watch)
        return time.process_time() - start

    def searches(place: Path, watch) -> None:  # type: ignore[no-untyped-def]
        grow_trees(place, found, recipe, engines, watch)

    took("warm", kept=True)
    ratios = [
        took(f"with-{k}", kept=True) / took(f"without-{k}", kept=False) for k in range(REPEATS)
    ]
    spent = Spent()
    with ExitStack() as counted:
        for name in ("write", "beat"):  # `beat` may write, which then counts twice: an upper bound
            own = spent.counted(getattr(events.Events, name))
            counted.enter_context(patch.object(events.Events, name, own))
        for name in ("command", "myself", "versions"):
            counted.enter_context(patch.object(events, name, spent.counted(getattr(events, name))))
        whole_run = took("counted", kept=True)
    return {"events_cost": spent.seconds / whole_run, "events_ratio": median(ratios) - 1.0}


def grow_trees(place, problems, recipe, engines, watch) -> None:  # type: ignore[no-untyped-def]
    """Grow trees as a run does, journal and all, without events of its own."""
    from whorl.budget.purse import Purse
    from whorl.engines.crew import Here
    from whorl.loop.grow import GrowPlan
    from whorl.loop.grow import grow as grown

    with RunFolder.open(place, {}, version="0") as folder:
        plan = GrowPlan(recipe, "sigma", purse=Purse(Budget()))
        grown(folder, problems, plan, Here(engines), watch=watch, expected=len(problems))


def report_mb(folder: Path) -> float:
    """Size of the report of 100 trees."""
    write_report(folder / "report.html", summary(Shown(write_run(folder / "r", 100), "r")))
    return (folder / "report.html").stat().st_size / 1e6


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trees", type=int, default=10_000)
    parser.add_argument("--problems", type=int, default=200, help="of a search for events_cost")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        folder = write_run(place / "run", told.trees)
        start = time.perf_counter()
        Index(folder / "trees.jsonl").refresh()
        figures = {"index_s": time.perf_counter() - start}
        figures |= pages(folder, told.trees)
        print(figures, file=sys.stderr, flush=True)  # what follows takes a while
        figures["report_100_mb"] = report_mb(place)
        figures |= events_cost(place, told.problems)
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


if __name__ == "__main__":
    main()

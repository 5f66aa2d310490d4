"""Kill a run at random moments; what it ends with must not show it.

One run of SIGMA is killed with SIGKILL again and again and given the same command each time, beside
an undisturbed one. The engine answers from the ask alone, in random order, and takes a moment for
each answer. Prints one JSON object:

kills: processes killed.
asked_twice: asks whose replies were in the journal and that reached the engine again.
identical: the trees are byte-identical to those of the undisturbed run.
torn: lives that found an unfinished tree in the file.
working_lives: lives that asked the engine anything.
"""

import argparse
import filecmp
import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from whorl.ask import Ask, Failure, Replies, digest
from whorl.engines import toy
from whorl.engines.crew import Here
from whorl.loop.folder import RunFolder
from whorl.loop.grow import GrowPlan, grow
from whorl.recipes.sigma import Sigma

PAUSE = 0.0005  # seconds that an answer takes


class Slow:
    """Answers a few of the waiting asks at a time, at random; logs each ask's digest first."""

    def __init__(self, log: Path) -> None:
        self._log = log.open("ab", buffering=0)
        self._waiting: list[tuple[int, Ask]] = []

    def submit(self, ticket: int, ask: Ask) -> None:
        self._log.write(f"{digest(ask)}\n".encode())
        self._waiting.append((ticket, ask))

    def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
        random.shuffle(self._waiting)
        count = random.randint(0, min(8, len(self._waiting)))
        time.sleep(PAUSE * count)
        return [
            (ticket, toy.answer(ask)) for ticket, ask in (self._waiting.pop() for _ in range(count))
        ]

    def close(self) -> None:
        self._log.close()


def live(path: Path, log: Path, problems: int) -> None:
    """One process's life: go on with the run until it is done or killed."""
    with RunFolder.open(path, {"problems": problems}, version="benchmark") as folder:
        engine = Slow(log)
        roles = ("policy", "critic", "reviser")
        print("ready", flush=True)
        grow(
            folder,
            toy.problems(problems),
            GrowPlan(Sigma(), "sigma", width=16),
            Here(dict.fromkeys(roles, engine)),
        )


def born(path: Path, log: Path, problems: int) -> "subprocess.Popen[str]":
    """Start a life and wait until it is about to grow."""
    command = [sys.executable, __file__, "--live", str(path), str(log), "--problems", str(problems)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline() == "ready\n"
    return child


def journaled(path: Path) -> set[str]:
    """Digests on record, read from a copy: the next life must find what the kill left."""
    with tempfile.TemporaryDirectory() as folder:
        for file in path.glob("journal.db*"):
            shutil.copy(file, folder)
        database = sqlite3.connect(Path(folder) / "journal.db")
        try:
            if not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                return set()
            rows = database.execute("SELECT hex(ask) FROM answer")
            return {name.lower() for (name,) in rows}
        finally:
            database.close()


def measure(base: Path, kills: int, problems: int, seed: int) -> dict[str, object]:
    """Grow undisturbed, then grow again under fire, and compare."""
    rng = random.Random(seed)
    started = time.perf_counter()
    child = born(base / "calm", base / "calm.log", problems)
    growing = time.perf_counter()
    assert child.wait() == 0
    whole = time.perf_counter() - growing

    hurt, asked_twice, torn, lives = base / "hurt", 0, 0, 0
    asks = 0
    for life in range(kills + 1):
        known = journaled(hurt) if life else set()
        trees = hurt / "trees.jsonl"
        torn += life > 0 and trees.exists() and trees.read_bytes()[-1:] not in (b"", b"\n")
        log = base / f"life{life}.log"
        child = born(hurt, log, problems)
        if life < kills:
            time.sleep(rng.uniform(0, 2 * whole / kills))
            child.send_signal(signal.SIGKILL)
            child.wait()
        else:
            assert child.wait() == 0
        names = Counter(log.read_text().split()) if log.exists() else Counter()
        asks += names.total()
        asked_twice += sum(count if name in known else count - 1 for name, count in names.items())
        lives += bool(names)
    return {
        "kills": kills,
        "asked_twice": asked_twice,
        "identical": filecmp.cmp(base / "calm/trees.jsonl", trees, shallow=False),
        "asks": len((base / "calm.log").read_text().split()),
        "asks_under_fire": asks,
        "trees": len(trees.read_bytes().splitlines()),
        "torn": torn,
        "working_lives": lives,
        "undisturbed_seconds": round(whole, 1),
        "seconds": round(time.perf_counter() - started, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--problems", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--live", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.live:
        path, log = options.live
        live(path, log, options.problems)
        return
    with tempfile.TemporaryDirectory() as base:
        found = measure(Path(base), options.kills, options.problems, options.seed)
    print(json.dumps(found))


if __name__ == "__main__":
    main()

"""Kill whole runs of two rounds at random moments; what they end with must not show it.

`whorl run` plays SIGMA with the shipped policy as all three roles: trees, examples, training and
evaluation, twice. Its process is killed with SIGKILL again and again and given the same command
each time; processes of its engines and its judges are killed under it. Prints one JSON object:

kills: processes killed, of which workers and judges are counted apart; stages: when, by what the
    next life found to do.
identical: every run ended with the files of an undisturbed one, byte for byte, and with no file
    besides. Seconds and dates, what was asked now or recalled, and log-probabilities in journals
    differ.
asked_twice: asks whose replies were in a journal and that reached an engine again.
runs: that came to their end.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path

import torch  # noqa: F401 (lives are forked: what is loaded here is loaded once)
import transformers  # noqa: F401

from whorl.ask import Ask, Engine, digest
from whorl.cli import app
from whorl.data.problems import write_problems
from whorl.data.synthetic import problems
from whorl.engines import roles
from whorl.engines.journal import Journal
from whorl.engines.judge import Judges
from whorl.learn import train as _train  # noqa: F401
from whorl.models import POLICY

RUN = """
run = "{run}"
problems = "{base}/problems.jsonl"
test = "{base}/test.jsonl"
rounds = 2
recipe.name = "sigma"
recipe.uct.simulations = 2
recipe.temperatures = [0.7]
recipe.critic_tokens = 64
recipe.reviser_tokens = 64
recipe.sampling.solution_tokens = 120
train.epochs = 1
train.batch = 8
evaluate.max_tokens = 120
[engines]
processes = {processes}
policy = "local:{model}"
critic = "local:{model}"
reviser = "local:{model}"
"""
LONGEST = 0.6  # of an undisturbed run that a life may last: with less it would not get on
OTHERS = {"workers": 2, "judges": 2}
"""Kills of one life's engines and judges, at most: what three die over fails."""
DEADLINE = 60.0  # seconds for a verdict: a busy machine is not what is attacked
TIMED = {
    *("grown.json", "seconds.json", "metrics.jsonl", "report.html", "manifest.json", "lock"),
    *("events.jsonl", "trees.index.db"),
}
"""Files that hold seconds, dates, or what was asked now and what was recalled."""


class Logged:
    """An engine that writes down each ask that reaches it."""

    def __init__(self, engine: Engine, log: int) -> None:
        self._engine = engine
        self._log = log
        self.poll, self.close = engine.poll, engine.close

    def submit(self, ticket: int, ask: Ask) -> None:
        os.write(self._log, f"{digest(ask)}\n".encode())
        self._engine.submit(ticket, ask)


def born(file: Path, log: Path) -> int:
    """A life of the run: a fork of this process that carries out the command."""
    if process := os.fork():
        return process
    try:
        asked = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        said = os.open(log.with_suffix(".said"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(said, 1)
        os.dup2(said, 2)
        wrap = Journal.wrap
        Journal.wrap = lambda self, engine: wrap(self, Logged(engine, asked))  # type: ignore[method-assign]
        roles.Judges = partial(Judges, deadline=DEADLINE)  # type: ignore[assignment, misc]
        sys.argv = ["whorl", "run", str(file)]
        os._exit(app(["run", str(file)], standalone_mode=False) or 0)
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
        os._exit(getattr(error, "exit_code", 70))


def below(process: int) -> dict[int, str]:
    """Processes below one, by id, each with its command line."""
    parents: dict[int, int] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    found: dict[int, str] = {}
    for one in parents:
        above, seen = parents.get(one), 0
        while above and above != process and seen < 9:
            above, seen = parents.get(above), seen + 1
        if above == process:
            with suppress(OSError):
                found[one] = Path(f"/proc/{one}/cmdline").read_text().replace("\0", " ")
    return found


def kill_another(process: int, dice: random.Random, others: Counter[str]) -> str:
    """Kill an engine's process or a judge's below a life, of which so many were; which kind."""
    kinds = {"nursery": "judges", "spawn_main": "workers"}
    here = [
        (one, kind)
        for one, command in below(process).items()
        for word, kind in kinds.items()
        if word in command and others[kind] < OTHERS[kind]
    ]
    if not here:
        return ""
    one, kind = dice.choice(here)
    with suppress(ProcessLookupError):
        os.kill(one, signal.SIGKILL)
        return kind
    return ""


def stage(run: Path) -> str:
    """What the next life of a run has to do."""
    if not (run / "manifest.json").exists():
        return "start"
    if not (run / "scores-0.jsonl").exists():
        return "evaluate 0"
    for number in (1, 2):
        inner = run / f"round-{number}"
        for name, doing in (
            ("grown.json", "grow"),
            ("harvested.json", "harvest"),
            ("checkpoint/training.json", "train"),
            (f"../scores-{number}.jsonl", "evaluate"),
        ):
            if not (inner / name).exists():
                return f"{doing} {number}"
    return "report"


def recorded(run: Path) -> set[str]:
    """Digests on record, read from copies: the next life must find what the kill left."""
    found: set[str] = set()
    for journal in run.rglob("*journal.db"):
        with tempfile.TemporaryDirectory() as name:
            for file in journal.parent.glob(f"{journal.name}*"):
                shutil.copy(file, name)
            with closing(sqlite3.connect(Path(name) / journal.name)) as database:
                if database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    rows = database.execute("SELECT hex(ask) FROM answer")
                    found |= {name.lower() for (name,) in rows}
    return found


def made(run: Path) -> dict[str, object]:
    """Files of a finished run: contents, of journals the asks, as log-probabilities depend on what
    else is in a batch, and of those in `TIMED` only that they are there."""
    found: dict[str, object] = {}
    for file in sorted(path for path in run.rglob("*") if path.is_file()):
        name = str(file.relative_to(run))
        if file.name.endswith("journal.db"):
            with closing(sqlite3.connect(file)) as database:
                found[name] = sorted(database.execute("SELECT ask FROM answer"))
        elif file.name in TIMED:
            found[name] = None
        else:
            found[name] = file.read_bytes().replace(str(run).encode(), b"RUN")
    return found


@dataclass(slots=True)
class Attack:
    """What was done so far, and what came of it."""

    kills: int = 0
    workers: int = 0
    judges: int = 0
    runs: int = 0
    asked_twice: int = 0
    identical: bool = True
    stages: Counter[str] = field(default_factory=Counter)


def prepare(base: Path, count: int) -> None:
    """Problems whose golds only algebra settles, so that judges are asked."""
    for split, name in (("pool", "problems"), ("test", "test")):
        own = (
            replace(one, answer=rf"\sqrt{{{int(one.answer) ** 2}}}")
            for one in problems(split, 4 * count, seed=0, levels=[1])
            if one.answer.isdecimal()
        )
        write_problems(base / f"{name}.jsonl", islice(own, count))


def settle(base: Path, run: str, processes: int) -> tuple[Path, Path]:
    """A run's file and folder."""
    file = base / f"{run}.toml"
    file.write_text(RUN.format(base=base, run=base / run, model=POLICY, processes=processes))
    return file, base / run


def attack(base: Path, kills: int, processes: int, dice: random.Random, told: Attack) -> None:
    """Kill runs until there were so many kills, and let each of them come to its end."""
    file, run = settle(base, "calm", processes)
    begun = time.monotonic()
    _, code = os.waitpid(born(file, base / "calm.log"), 0)
    assert code == 0, (base / "calm.said").read_text()
    calm, undisturbed = time.monotonic() - begun, made(run)
    print(f"undisturbed, {processes} processes: {calm:.0f} s", file=sys.stderr, flush=True)
    while told.kills < kills:
        file, run = settle(base, f"hurt{told.runs}", processes)
        while not lived(file, run, dice, LONGEST * calm if told.kills < kills else 1e9, told):
            pass
        told.runs += 1
        if (found := made(run)) != undisturbed:
            names = found.keys() | undisturbed.keys()
            other = [name for name in names if found.get(name, 0) != undisturbed.get(name, 0)]
            print(f"{run} differs: {sorted(other)}", file=sys.stderr)
            told.identical = False
        shutil.rmtree(run)
        print(told, file=sys.stderr, flush=True)


def lived(file: Path, run: Path, dice: random.Random, longest: float, told: Attack) -> bool:
    """One life; whether the run came to its end in it."""
    log, known = file.with_suffix(".log"), recorded(run)
    log.unlink(missing_ok=True)
    process, others = born(file, log), Counter[str]()
    end = time.monotonic() + dice.uniform(0, longest)
    strike = time.monotonic() + dice.uniform(0, longest)
    code = None
    while code is None:
        time.sleep(0.01)
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
        elif time.monotonic() > end:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            code = -signal.SIGKILL
        elif time.monotonic() > strike:
            if kind := kill_another(process, dice, others):
                others[kind] += 1
                told.kills += 1
                setattr(told, kind, getattr(told, kind) + 1)
                told.stages[stage(run)] += 1
            strike = time.monotonic() + dice.uniform(0.1, 1.5)
    names = Counter(log.read_text().split()) if log.exists() else Counter()
    told.asked_twice += sum(n if name in known else n - 1 for name, n in names.items())
    if code == -signal.SIGKILL:
        told.kills += 1
        told.stages[stage(run)] += 1
        return False
    assert code == 0, log.with_suffix(".said").read_text()[-2000:]
    return True


def measure(kills: int, seed: int, processes: int, count: int = 3) -> dict[str, object]:
    """Attack runs of `count` problems, each model of which runs in so many processes of its own."""
    told, begun = Attack(), time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name), count)
        attack(Path(name), kills, processes, random.Random(seed), told)
    return {
        "kills": told.kills,
        "identical": told.identical,
        "asked_twice": told.asked_twice,
        "killed_workers": told.workers,
        "killed_judges": told.judges,
        "runs": told.runs,
        "stages": dict(sorted(told.stages.items())),
        "kill_seconds": round(time.monotonic() - begun),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--processes", type=int, default=0, help="of each model; 0 has no workers")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.kills, arguments.seed, arguments.processes)))


if __name__ == "__main__":
    main()

"""What a round of `whorl run` costs, with engines opened once a round and with ones that stay.

RFT on made-up problems with the shipped policy, in vLLM unless another engine is named, played
twice: with `engines.stay = false`, then `true`. For vLLM, in the environment of `make test-vllm`.
Prints one JSON object, for each of the two:

seconds, cpu: of each part of the run, by the wall and of all its processes: up to the first round
    (engines opened, the base model measured), then each round.
stages: wall seconds of what the command says it did, in order.
accuracy: after each round.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path

import psutil

from whorl.data.problems import write_problems
from whorl.data.synthetic import problems
from whorl.models import POLICY

VLLM = "dtype=float32&enforce_eager=true&kv_cache_memory_bytes=536870912&block_size=32"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policy", default=f"vllm:{POLICY}?{VLLM}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--problems", type=int, default=24)
    parser.add_argument("--test", type=int, default=48)
    parser.add_argument("--stay", nargs="*", default=["false", "true"], help="none: do not say it")
    options = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_problems(folder / "problems.jsonl", problems("pool", options.problems, seed=0))
        write_problems(folder / "test.jsonl", problems("test", options.test, seed=1))
        for stay in options.stay or [""]:
            found[f"stay = {stay}"] = play(folder / f"run-{stay}", options, stay)
    print(json.dumps(found))


def play(run: Path, options: argparse.Namespace, stay: str) -> dict[str, object]:
    """One run, as its own process, which is looked at whenever it says that it begins a round."""
    file = run.with_suffix(".toml")
    lines = [
        f'run = "{run}"',
        f'problems = "{run.parent / "problems.jsonl"}"',
        f'test = "{run.parent / "test.jsonl"}"',
        f"rounds = {options.rounds}",
        f'engines.policy = "{options.policy}"',
        'recipe = {name = "rft", samples = 4, sampling = {solution_tokens = 200}}',
        "train = {epochs = 1, batch = 16, lr = 1e-4}",
        "evaluate = {max_tokens = 200}",
        *([f"engines.stay = {stay}"] if stay else []),
    ]
    file.write_text("\n".join(lines))
    command = [sys.executable, "-m", "whorl", "run", str(file)]
    start, before = time.monotonic(), os.times()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None and process.stdout is not None
    threading.Thread(target=process.stdout.read, daemon=True).start()
    marks, stages, said = [(0.0, 0.0)], [], []
    for line in process.stderr:
        said.append(line)
        now = time.monotonic() - start
        if line.startswith("round "):
            marks.append((now, _cpu(process.pid)))
        if line.startswith(("evaluate:", "grow:", "train:", "wrote", "round ")):
            stages.append((round(now, 1), line.strip()[:80]))
    if process.wait():
        raise SystemExit("".join(said[-20:]))
    after = os.times()
    cpu = sum(after[2:4]) - sum(before[2:4])
    marks.append((time.monotonic() - start, cpu))
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    parts = list(pairwise(marks))
    return {
        "seconds": [round(end[0] - begin[0], 1) for begin, end in parts],
        "cpu": [round(end[1] - begin[1], 1) for begin, end in parts],
        "accuracy": [played["accuracy"] for played in metrics],
        "stages": stages,
    }


def _cpu(pid: int) -> float:
    """Seconds of a process and of all that it started, those that have ended included."""
    process = psutil.Process(pid)
    return sum(sum(each.cpu_times()[:4]) for each in (process, *process.children(recursive=True)))


if __name__ == "__main__":
    main()

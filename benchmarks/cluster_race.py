"""The same prompts, servers and faults: whorl on a cluster, and Ray Data's batch pipeline.

Four simulated servers (benchmarks/rig.py) answer one ask for each of many problems. On the way one
server dies for good, one prompt is longer than the context, and the driver is killed once and given
the same command again. Ray Data sends rows by its HTTP stage (`ray.data.llm`), which knows one
address: a session that goes round the four is given to it, and retries are on. Its output is a JSON
file for each block, and a further life leaves out the rows that were written; Ray Data itself would
begin anew.

Prints one JSON object; for each side: asks that servers took in beyond one for each problem, lives
of the driver, problems without an answer (one, whose prompt is too long, cannot have one), seconds.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from ray.cluster_utils import Cluster

import rig
from cluster import started
from whorl.data.problems import read_problems, write_problems
from whorl.data.synthetic import problems
from whorl.problem import Problem

SERVERS = 4
WHORL = "import sys; sys.argv[0] = 'whorl'; from whorl.cli import main; main()"


def prepare(base: Path, count: int) -> Path:
    """The problems, one of them longer than the servers' context."""
    file = base / "problems.jsonl"
    own = [*islice(problems("pool", count, seed=0, levels=[1]), count - 1)]
    own.insert(count // 3, Problem("long", "What is 1 + 1? " * 2_000, "2"))
    write_problems(file, own)
    return file


def race(
    side: Callable[[Sequence[str]], Any], written: Callable[[], int], count: int, own: Any
) -> Any:
    """Run a side to its end under the faults. side: the command, given the servers; written: how
    many problems have ended."""
    contexts = [rig.running(own) for _ in range(SERVERS)]
    urls = [context.__enter__() for context in contexts]
    asked, lives, begun = 0, 0, time.monotonic()
    try:
        while True:
            lives += 1
            child = subprocess.Popen(side(urls), stderr=subprocess.PIPE, text=True)
            if lives == 1:
                _wait(child, written, 0.25 * count)
                asked += rig.stats(urls[0])["requests"]
                contexts[0].__exit__(None, None, None)
                _wait(child, written, 0.5 * count)
                child.send_signal(signal.SIGKILL)
                child.communicate()
                continue
            _, said = child.communicate()
            if child.returncode not in (0, 1) or lives == 4:
                print(said[-2000:], file=sys.stderr)
            if child.returncode in (0, 1) or lives == 4:
                break
        asked += sum(rig.stats(url)["requests"] for url in urls[1:])
    finally:
        for context in contexts:
            with suppress(Exception):
                context.__exit__(None, None, None)
    return {"asks": asked, "lives": lives, "seconds": round(time.monotonic() - begun, 1)}


def _wait(child: "subprocess.Popen[str]", written: Callable[[], int], count: float) -> None:
    while child.poll() is None and written() < count:
        time.sleep(0.1)


def by_whorl(base: Path, file: Path, address: str, count: int, own: rig.Rig) -> dict[str, Any]:
    """Best of one sample of each problem, by leases."""
    run = base / "run"
    trees = run / "trees.jsonl"

    def command(urls: Sequence[str]) -> list[str]:
        policy = "server:" + ",".join(urls)
        words = f"grow --recipe rft --set samples=1 --width 8 --policy {policy}"
        return [
            sys.executable,
            "-c",
            WHORL,
            *words.split(),
            "--problems",
            str(file),
            "--run",
            str(run),
        ]

    found = race(command, lambda: _lines(trees), count, own)
    return found | {"lost": count - _lines(trees)}


def by_ray_data(base: Path, file: Path, address: str, count: int, own: rig.Rig) -> dict[str, Any]:
    """A row for each problem, by the HTTP stage."""
    out = base / "rows"

    def command(urls: Sequence[str]) -> list[str]:
        return [sys.executable, __file__, "--pipeline", address, str(file), str(out), *urls]

    found = race(command, lambda: len(answered(out)), count, own)
    return found | {"lost": count - len(answered(out))}


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def answered(out: Path) -> set[str]:
    """Ids of the rows with an answer that were written."""
    found = set()
    for path in out.rglob("*.json") if out.exists() else ():
        for line in path.read_text().splitlines():
            with suppress(ValueError):
                row = json.loads(line)
                if row.get("text"):
                    found.add(row["id"])
    return found


def pipeline(address: str, file: Path, out: Path, urls: Sequence[str]) -> None:
    """The other side's program."""
    import aiohttp
    import ray
    from ray.data.llm import HttpRequestProcessorConfig, build_llm_processor

    def session() -> Any:
        class Round(aiohttp.ClientSession):
            """Goes round the servers."""

            def post(self, url: str, **kwargs: Any) -> Any:
                Round.turn += 1
                return super().post(f"{urls[Round.turn % len(urls)]}/completions", **kwargs)

            turn = os.getpid()

        return Round()

    ray.init(address)
    done = answered(out)
    rows = [
        {"id": each.id, "question": each.question}
        for each in read_problems(file)
        if each.id not in done
    ]
    config = HttpRequestProcessorConfig(
        url=f"{urls[0]}/completions",
        max_retries=4,
        session_factory=session,
        batch_size=8,
        concurrency=4,
    )
    process = build_llm_processor(
        config,
        preprocess=lambda row: {
            "payload": {"model": "rig", "prompt": row["question"], "max_tokens": 512, "seed": 1}
        },
        postprocess=lambda row: {
            "id": row["id"],
            "text": ((row.get("http_response") or {}).get("choices") or [{}])[0].get("text", ""),
        },
    )
    blocks = max(1, len(rows) // 8)
    process(ray.data.from_items(rows, override_num_blocks=blocks)).write_json(str(out))


def main() -> None:
    if sys.argv[1:2] == ["--pipeline"]:
        _, _, address, file, out, *urls = sys.argv
        return pipeline(address, Path(file), Path(out), urls)
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--problems", type=int, default=400)
    parser.add_argument("--latency", type=float, default=0.5)
    parser.add_argument("--slots", type=int, default=8)
    given = parser.parse_args()
    own = rig.Rig(latency=given.latency, slots=given.slots)
    with tempfile.TemporaryDirectory() as name:
        base, found = Path(name), {}
        file = prepare(base, given.problems)
        cluster = started(lambda **said: Cluster(initialize_head=True, head_node_args=said))
        for side in (by_whorl, by_ray_data):
            said = side(base, file, cluster.address, given.problems, own)
            said["repeated"] = said.pop("asks") - given.problems
            found[side.__name__] = said
            print(side.__name__, said, file=sys.stderr, flush=True)
        cluster.shutdown()
    print(json.dumps({"simulated": True, "problems": given.problems, **found}))


if __name__ == "__main__":
    main()

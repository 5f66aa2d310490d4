"""The same prompts, servers and faults: whorl on a cluster, and Ray Data's batch pipeline.

Four simulated servers (benchmarks/rig.py) answer one ask for each of many problems. On the way one
server dies for good, one prompt is longer than the context, and the driver is killed once and given
the same command again. Ray Data sends rows by its HTTP stage (`ray.data.llm`), which knows one
address: a session that draws one of the four for each request is given to it, and retries are on.
Its output is a JSON file for each block, and a further life leaves out the rows that were written;
Ray Data itself would begin anew. Both sides have 32 asks in flight: whorl has 4 workers of 8
searches, Ray Data 8 actors with 4 batches of 2 rows, of which its stage sends one at a time.

Prints one JSON object. For each side:

repeated: asks that servers took in beyond one for each problem.
found_out: requests besides, by which whorl's workers find out what a server can do.
lost: problems without an answer; one, whose prompt is too long, cannot have one.
lives: of the driver. seconds: in all; starting: of these, until the first answers of each life.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from ray.cluster_utils import Cluster

import rig
from cluster import started
from whorl.data.problems import read_problems, write_problems
from whorl.data.synthetic import problems
from whorl.engines import open_engine
from whorl.problem import Problem

SERVERS = 4
IN_FLIGHT = 32  # asks at once, on either side
WIDTH = 8  # searches of a worker
AT_ONCE = 4  # batches that an actor of Ray Data has at once; the rows of one go one by one
MOST_LIVES = 4
WHORL = "import sys; sys.argv[0] = 'whorl'; from whorl.__main__ import main; main()"


def prepare(base: Path, count: int) -> Path:
    """The problems, one of them longer than the servers' context."""
    file = base / "problems.jsonl"
    own = [*islice(problems("pool", count, seed=0, levels=[1]), count - 1)]
    own.insert(count // 3, Problem("long", "What is 1 + 1? " * 2_000, "2"))
    write_problems(file, own)
    return file


def race(
    side: Callable[[Sequence[str]], Any],
    written: Callable[[], int],
    ends: Collection[int],
    count: int,
    own: rig.Rig,
) -> dict[str, Any]:
    """Run a side to its end under the faults. side: the command, given the servers; written: how
    many problems have ended; ends: codes with which the command says that there is no more to
    do."""
    asked, lives, begun, starting = 0, 0, time.monotonic(), 0.0
    with ExitStack() as stack:
        said = stack.enter_context(tempfile.TemporaryFile("w+"))  # a pipe would fill, and stop it
        mortal = rig.running(own)
        urls = [mortal.__enter__()]
        urls += [stack.enter_context(rig.running(own)) for _ in range(SERVERS - 1)]
        while True:
            lives += 1
            born, there = time.monotonic(), written()
            child = subprocess.Popen(side(urls), stdout=said, stderr=said)
            _wait(child, written, there + 1)
            starting += time.monotonic() - born
            if lives == 1:
                _wait(child, written, 0.25 * count)
                asked += rig.stats(urls[0])["requests"]
                mortal.__exit__(None, None, None)
                _wait(child, written, 0.5 * count)
                child.send_signal(signal.SIGKILL)
            if child.wait() and lives > 1:
                said.seek(0)
                print(said.read()[-2000:], file=sys.stderr)
            if child.returncode in ends or lives == MOST_LIVES:
                break
        asked += sum(rig.stats(url)["requests"] for url in urls[1:])
    took = {"seconds": time.monotonic() - begun, "starting": starting}
    return {"asks": asked, "lives": lives} | {name: round(each, 1) for name, each in took.items()}


def _wait(child: "subprocess.Popen[bytes]", written: Callable[[], int], count: float) -> None:
    while child.poll() is None and written() < count:
        time.sleep(0.1)


def by_whorl(base: Path, file: Path, address: str, count: int, own: rig.Rig) -> dict[str, Any]:
    """Best of one sample of each problem, by leases."""
    run = base / "run"
    trees = run / "trees.jsonl"

    def command(urls: Sequence[str]) -> list[str]:
        policy = "server:" + ",".join(urls)
        words = f"grow --recipe rft --set samples=1 --width {WIDTH} --policy {policy}"
        where = f"{address}?workers={IN_FLIGHT // WIDTH}"
        return [
            sys.executable,
            "-c",
            WHORL,
            *words.split(),
            "--problems",
            str(file),
            "--run",
            str(run),
            "--cluster",
            where,
        ]

    found = race(command, lambda: _lines(trees), (0, 1), count, own)
    opened = SERVERS + (found["lives"] - 1) * (SERVERS - 1)  # by each worker: one server died
    requests = opened * IN_FLIGHT // WIDTH * to_find_out(own)
    found |= {"asks": found["asks"] - requests, "found_out": requests}
    return found | {"lost": count - _lines(trees)}


def to_find_out(own: rig.Rig) -> int:
    """Requests by which an engine finds out what one server can do."""
    with rig.running(own) as url:
        open_engine(f"server:{url}").close()
        return int(rig.stats(url)["requests"])


def by_ray_data(base: Path, file: Path, address: str, count: int, own: rig.Rig) -> dict[str, Any]:
    """A row for each problem, by the HTTP stage."""
    out = base / "rows"

    def command(urls: Sequence[str]) -> list[str]:
        return [sys.executable, __file__, "--pipeline", address, str(file), str(out), *urls]

    found = race(command, lambda: len(answered(out)), (0,), count, own)
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
    from ray.data.llm import HttpRequestProcessorConfig, build_processor

    def session() -> object:  # it is pickled, so it uses nothing of this module
        from random import choice

        class Spread(aiohttp.ClientSession):
            """Sends each request to one of the servers."""

            def post(self, url: str, **kwargs: object) -> object:
                return super().post(f"{choice(urls)}/completions", **kwargs)

        return Spread()

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
        batch_size=2,
        concurrency=(IN_FLIGHT // AT_ONCE, IN_FLIGHT // AT_ONCE),
    )
    process = build_processor(
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
    parser.add_argument("--latency", type=float, default=2.0, help="seconds of an answer")
    parser.add_argument("--slots", type=int, default=8, help="of a server")
    given = parser.parse_args()
    own = rig.Rig(latency=given.latency, slots=given.slots)
    with tempfile.TemporaryDirectory() as name:
        base, found = Path(name), {}
        file = prepare(base, given.problems)
        cluster = started(
            lambda **said: Cluster(initialize_head=True, head_node_args=said), num_cpus=16
        )
        for side in (by_whorl, by_ray_data):
            said = side(base, file, cluster.address, given.problems, own)
            said["repeated"] = said.pop("asks") - given.problems
            found[side.__name__] = said
            print(side.__name__, said, file=sys.stderr, flush=True)
        cluster.shutdown()
    print(json.dumps({"simulated": True, "problems": given.problems, **found}))


if __name__ == "__main__":
    main()

"""SIGMA's traffic of a real model through one engine after the other, each in a process of its own;
`local_engine.py --model FOLDER` runs it.

All sides work at the same time, with one thread each, so that a busy machine slows them alike, and
are measured in sampled tokens per second of their own CPU time, their server's included. Policy,
critic and reviser are the model; 64 asks are in flight. What was sampled while the side warmed up
does not count.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is loaded

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

from whorl.ask import Ask, Engine, Failure, Replies
from whorl.data.problems import read_problems
from whorl.data.synthetic import problems as synthetic
from whorl.drive import drive
from whorl.engines import open_engine
from whorl.engines.gguf import write_gguf
from whorl.engines.judge import Judges
from whorl.engines.openvino_weights import converted_apart
from whorl.recipes.sigma import Sigma
from whorl.rollout import Sampling
from whorl.search import Uct

HOME = Path(__file__).parents[1]
LLAMA = HOME / ".venv-llama" / "bin" / "llama-server"
VLLM = HOME / ".venv-vllm" / "bin" / "python"
IN_FLIGHT = 64
SIGMA = Sigma(
    uct=Uct(simulations=4, parallel=4, depth=10),
    sampling=Sampling(temperature=0.7, step_tokens=128),
    temperatures=(0.7,),
    retries=0,
    critic_tokens=128,
    reviser_tokens=128,
)
BITS = {
    "openvino int4": 4,
    "openvino int8": 8,
    "openvino f16": 16,
    "local bfloat16": 16,
    "local": 32,
}
"""Our sides, and the bits of their weights."""

FILED = "llama.cpp file"  # FOLDER.gguf as it lies there
OTHERS = {
    "vs_generate": ("generate", 32),
    "vs_llama_cpp": ("llama.cpp q8_0", 8),
    "vs_llama_cpp_file": (FILED, 4),
    "vs_vllm_cpu": ("vllm", 16),
}
"""Other engines and the bits of their weights, by the ratio that ours make with them: the best of
ours with as many bits. A file's are taken to be four (Q4_K_M)."""


def measure(model: Path, problems: Path | None, seconds: float, sides: Sequence[str]) -> None:
    """Run the sides at once; print each, and one JSON object with what the best of ours makes and
    how ours compare at equal bits."""
    known = (*BITS, *(side for side, _ in OTHERS.values()))
    if unknown := set(sides).difference(known):
        raise SystemExit(f"error: no side {min(unknown)!r}; there are {', '.join(known)}")
    command = [sys.executable, __file__, str(model), "--seconds", str(seconds)]
    command += ["--problems", str(problems)] if problems else []
    running = {
        side: subprocess.Popen([*command, "--side", side], stdout=subprocess.PIPE, text=True)
        for side in sides or known
        if (not side.startswith("llama.cpp") or LLAMA.exists())
        and (side != FILED or filed(model).exists())
        and (side != "vllm" or VLLM.exists())
    }
    found: dict[str, dict[str, float]] = {}
    for side, process in running.items():
        said, _ = process.communicate()
        if process.returncode:
            print(f"{side}: failed")
            continue
        found[side] = json.loads(said.splitlines()[-1])
        print(side, found[side])
    rates = {side: each["rate"] for side, each in found.items()}
    ours = {side: rates[side] for side in BITS if side in rates}
    if not ours:
        raise SystemExit("error: none of our engines was measured, so there is nothing to compare")
    best = max(ours, key=lambda side: ours[side])
    figures: dict[str, object] = {
        "engine": best,
        "sigma_tokens_per_cpu_s": round(rates[best], 1),
        "peak_gb": found[best]["peak_gb"],
        "open_s": found[best]["open_s"],
        "open_cpu_s": found[best]["open_cpu_s"],
    }
    for name, (side, bits) in OTHERS.items():
        equal = [rate for own, rate in ours.items() if BITS[own] == bits]
        theirs = rates.get(side, 0.0)  # 0 where nothing was answered in so many seconds
        figures[name] = round(max(equal) / theirs, 2) if equal and theirs else None
    print(json.dumps(figures))


class Over(Exception):
    """A side has worked for as long as it is to be measured."""


class Counted:
    """An engine whose sampled tokens and CPU seconds are counted from when it is warm, until it has
    worked for `seconds` more. server: the process that answers, if it is another one."""

    def __init__(self, engine: Engine, server: int | None, seconds: float) -> None:
        self._engine, self._server = engine, server
        self._warm = self.spent() + seconds / 3
        self._end = self._warm + seconds
        self._tokens = self._before = 0
        self._start: float | None = None

    def submit(self, ticket: int, ask: Ask) -> None:
        self._engine.submit(ticket, ask)

    def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
        answers = self._engine.poll(timeout)
        for _, replies in answers:
            if isinstance(replies, tuple):
                self._tokens += sum(reply.tokens for reply in replies)
        now = self.spent()
        if self._start is None and now > self._warm:
            self._start, self._before = now, self._tokens
        if now > self._end:
            raise Over
        return answers

    def close(self) -> None:
        self._engine.close()

    def rate(self) -> float:
        """Tokens per CPU second since it was warm."""
        assert self._start is not None
        return (self._tokens - self._before) / (self.spent() - self._start)

    def spent(self) -> float:
        """CPU seconds of this process and its server's."""
        return time.process_time() + (_cpu_of(self._server) if self._server else 0.0)


def one_side(side: str, model: Path, problems: Path | None, seconds: float) -> dict[str, float]:
    """Tokens per CPU second, memory at most in GB, and what opening took; a conversion that is made
    once is not part of that."""
    tasks = list(read_problems(problems) if problems else synthetic("test", 200, seed=1))
    judges = Judges()
    with opened(side, model) as (engine, server, wall, cpu):
        counted = Counted(engine, server, seconds)
        roles: dict[str, Engine] = dict.fromkeys(("policy", "critic", "reviser"), counted)
        searches = ((f"{p.id}/{n}", SIGMA.grow(p)) for n in count() for p in tasks)
        with suppress(Over):
            for finished in drive(searches, roles | {"judge": judges}, width=IN_FLIGHT // 4):
                assert finished.error is None, finished.error
        rate = counted.rate()
        peak = sum(map(_peak_of, _family(server) if server else [os.getpid()]))
    judges.close()
    return {
        "rate": round(rate, 1),
        "peak_gb": round(peak, 2),
        "open_s": round(wall, 1),
        "open_cpu_s": round(cpu, 1),
    }


def filed(model: Path) -> Path:
    """The GGUF file beside a model's folder, if there is one."""
    return model.with_name(f"{model.name}.gguf")


@contextmanager
def opened(side: str, model: Path) -> Iterator[tuple[Engine, int | None, float, float]]:
    """A side's engine, its server's process, and the seconds that opening took, of the clock and of
    the CPU."""
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if side in BITS:
            scheme, _, kind = side.partition(" ")
            if scheme == "openvino":
                converted_apart(model, kind)
            setting = {"openvino": f"?weights={kind}", "local": f"?dtype={kind}" if kind else ""}
            name = f"{scheme}:{model}{setting[scheme]}"
            wall, cpu = time.monotonic(), time.process_time()
            engine = open_engine(name, processes=0)
            yield engine, None, time.monotonic() - wall, time.process_time() - cpu
        elif side == "generate":
            from whorl.engines.generate import Generate

            wall, cpu = time.monotonic(), time.process_time()
            engine = Generate(model, max_rows=IN_FLIGHT)
            yield engine, None, time.monotonic() - wall, time.process_time() - cpu
        else:
            file = filed(model) if side == FILED else place / "model.gguf"
            if side == "llama.cpp q8_0":
                write_gguf(model, file, dtype="q8_0")
            wall = time.monotonic()
            process, url = stack.enter_context(served(side, model, file))
            name = f"server:{url}?model=model&tokenizer={model}&in_flight={IN_FLIGHT}&timeout=3600"
            engine = open_engine(name)
            stack.callback(engine.close)
            yield engine, process, time.monotonic() - wall, _cpu_of(process)


@contextmanager
def served(side: str, model: Path, file: Path) -> Iterator[tuple[int, str]]:
    """A server of the model with one thread: its process and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    if side == "vllm":
        command = [str(VLLM), "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
        command += ["--served-model-name", "model", "--dtype", "bfloat16", "--port", port]
        command += ["--no-enable-chunked-prefill", "--enforce-eager", "--block-size", "32"]
        command += ["--kv-cache-memory-bytes", str(1 << 30), "--generation-config", "vllm"]
    else:
        command = [str(LLAMA), "-m", str(file), "--alias", "model", "--port", port]
        command += ["-t", "1", "-tb", "1", "-np", str(IN_FLIGHT), "-c", str(2048 * IN_FLIGHT)]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet)
    try:
        while True:
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health"):
                break
            assert process.poll() is None, f"{side} ended"
            time.sleep(0.1)
        yield process.pid, f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait()


def _family(process: int) -> list[int]:
    """A process and its children's children."""
    own = [process]
    for each in own:
        for task in Path(f"/proc/{each}/task").glob("*/children"):
            own += [int(child) for child in task.read_text().split()]
    return own


def _cpu_of(process: int) -> float:
    """CPU seconds of a process and all below it."""
    ticks = 0
    for each in _family(process):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _peak_of(process: int) -> float:
    """Memory at most, in GB, of a process."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e9


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--problems", type=Path)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--side", required=True)
    one = parser.parse_args()
    print(json.dumps(one_side(one.side, one.model, one.problems, one.seconds)))

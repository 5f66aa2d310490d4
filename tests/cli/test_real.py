"""Real chat models once round the loop: grow, harvest, train with LoRA, evaluate.

`WHORL_MODELS` names the folder they are in, by default `~/.cache/whorl-models`: `smollm2-135m`,
`qwen-0.5b`, `qwen-1.5b` (SmolLM2-135M-Instruct, Qwen2.5-Coder-0.5B-Instruct and 1.5B, or what you
put there under these names). `make test` takes the smallest once round; `make test-real` all of
them, with every engine that is set up.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from tests.engines.server.real import Server
from typer.testing import Result

from whorl.data.problems import write_problems
from whorl.engines.gguf import write_gguf
from whorl.problem import Problem

MODELS = Path(os.environ.get("WHORL_MODELS", "~/.cache/whorl-models")).expanduser()
ROOT = Path(__file__).parents[2]
LEARN = [
    Problem("apples", "Tom has 3 apples and buys 4 more. How many apples does he have?", "7"),
    Problem("sum", "What is 2 + 2?", "4"),
]
HELD = [
    Problem("pens", "Ann has 9 pens and gives away 2. How many pens does she have left?", "7"),
    Problem("days", "How many days are there in 2 weeks?", "14"),
]


def model(name: str) -> Path:
    folder = MODELS / name
    if not (folder / "config.json").exists():
        pytest.skip(f"{folder} is not there; WHORL_MODELS names the folder of real models")
    return folder


def apart(*arguments: object) -> str:
    """Run a command in a process of its own, whose memory is free afterwards: all that it said."""
    command = [sys.executable, "-m", "whorl", *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True)
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said[-3000:]
    assert "Traceback" not in said, said[-3000:]
    return said


def llama(folder: Path, beside: Path) -> list[str]:
    """The command that starts llama.cpp's server on a GGUF made of the model, without its port."""
    server = ROOT / ".venv-llama" / "bin" / "llama-server"
    if not server.exists():
        pytest.skip("llama-server is not built: make test-llama builds it")
    if not beside.exists():
        write_gguf(folder, beside, dtype="float16")
    said = [str(server), "-m", str(beside), "--alias", "model", "--host", "127.0.0.1"]
    return [*said, "-np", "8", "-c", "8192"]


def vllm(folder: Path, beside: Path) -> list[str]:
    """As `llama`, for vLLM on a CPU."""
    python = ROOT / ".venv-vllm" / "bin" / "python"
    if not (ROOT / ".venv-vllm" / ".ready").exists():
        pytest.skip("vLLM is not set up: make test-vllm sets it up")
    said = [str(python), "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    said += ["--served-model-name", "model", "--host", "127.0.0.1", "--enforce-eager"]
    said += ["--dtype", "bfloat16", "--max-model-len", "2048", "--block-size", "32"]
    said += ["--kv-cache-memory-bytes", str(1 << 30)]
    return [*said, "--no-enable-chunked-prefill"]  # or a CPU breaks down over seeds


SERVERS: dict[str, Callable[[Path, Path], list[str]]] = {"llama": llama, "vllm": vllm}


@contextmanager
def answering(engine: str, folder: Path, home: Path) -> Iterator[str]:
    """The name of an engine that runs the model in `folder`, for as long as it is needed."""
    if engine not in SERVERS:
        yield f"{engine}:{folder}"
        return
    command = SERVERS[engine](folder, home / f"{folder.name}.gguf")
    server = Server(lambda port: [*command, "--port", str(port)], home / "log")
    try:
        server.start()
        yield f"server:{server.url}?tokenizer={folder}"
    finally:
        server.kill()


def once_round(say: Callable[..., str], engine: str, folder: Path, home: Path) -> None:
    """Two problems that every model solves at times, to the end of the loop."""
    learn, held, run, tuned = (
        home / name for name in ("learn.jsonl", "held.jsonl", "run", "tuned")
    )
    write_problems(learn, LEARN)
    write_problems(held, HELD)
    clock = [time.monotonic()]
    with answering(engine, folder, home) as policy:
        sampling = ("samples=8", "sampling.temperature=0.3", "sampling.solution_tokens=64")
        grow = ("grow", "--recipe", "rft", "--problems", learn, "--policy", policy, "--run", run)
        said = say(*grow, *(x for each in sampling for x in ("--set", each)))
        assert f"wrote {run / 'trees.jsonl'}: 2 trees" in said
        clock.append(time.monotonic())
    say("harvest", run)
    examples = (run / "examples.jsonl").read_text().splitlines()
    assert examples, "no sample was right"
    lora = ("--set", "lora.rank=4", "--set", "epochs=1", "--set", "batch=8")
    trained = say(
        "train", "--model", folder, "--examples", run / "examples.jsonl", "--out", tuned, *lora
    )
    assert f"wrote {tuned}: model after 1 steps" in trained
    clock.append(time.monotonic())
    with answering(engine, tuned, home) as policy:
        scores = home / "scores.jsonl"
        say("evaluate", "--model", policy, "--problems", held, "--out", scores, "--max-tokens", 64)
    rows = [json.loads(row) for row in (home / "scores.attempts.jsonl").read_text().splitlines()]
    texts = [attempt["text"] for row in rows for attempt in row["attempts"]]
    assert len(rows) == len(HELD) and all(map(str.strip, texts))
    assert not any("<|im_" in text or "<|end" in text for text in texts)
    clock.append(time.monotonic())
    taken = [f"{after - before:.0f} s" for before, after in pairwise(clock)]
    print(f"{engine}:{folder.name}: {len(examples)} examples; grow, train, evaluate: {taken}")


@pytest.mark.slow
def test_smollm_goes_once_round(whorl: Callable[..., Result], tmp_path: Path) -> None:
    def here(*arguments: object) -> str:
        asks = ("--processes", 0) if arguments[0] in ("grow", "evaluate") else ()
        ended = whorl(*arguments, *asks)
        assert ended.exit_code == 0, ended.output
        return ended.output

    once_round(here, "local", model("smollm2-135m"), tmp_path)


@pytest.mark.real
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("engine", ["local", "openvino", "llama", "vllm"])
@pytest.mark.parametrize("name", ["smollm2-135m", "qwen-0.5b", "qwen-1.5b"])
def test_models_go_once_round(name: str, engine: str, tmp_path: Path) -> None:
    once_round(apart, engine, model(name), tmp_path)

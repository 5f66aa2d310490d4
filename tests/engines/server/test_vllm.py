"""A real vLLM server, on the shipped policy. `make test-vllm` runs it."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from whorl import prompts
from whorl.ask import Ask, Engine, Failure, Prompt, Replies
from whorl.chat import SEPARATOR, Chat
from whorl.data.forest import read_trees
from whorl.data.problems import write_problems
from whorl.data.synthetic import problems
from whorl.engines import open_engine
from whorl.models import POLICY, TEACHER

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(900)]

QUESTIONS = [problem.question for problem in problems("test", 64, seed=1)]
GROWN = 24
"""Problems to grow trees for: enough to take half a minute."""


class Server:
    """A vLLM server of its own process group, which can be killed and started again."""

    def __init__(self, model: Path, log: Path, *flags: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._log = log
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
        command += ["--model", str(model), "--served-model-name", "model"]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--dtype", "float32", "--enforce-eager", "--block-size", "32"]
        command += ["--kv-cache-memory-bytes", str(512 << 20)]
        command += ["--no-enable-chunked-prefill"]  # or a CPU breaks down over seeds
        self._command = [*command, *flags]

    def start(self) -> float:
        """Seconds until it answers."""
        start = time.monotonic()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, start_new_session=True
            )
        while not self._answers():
            assert self.alive() and time.monotonic() - start < 300, self.said()
            time.sleep(0.1)
        return time.monotonic() - start

    def alive(self) -> bool:
        return self._process.poll() is None

    def said(self) -> str:
        return self._log.read_text()[-3000:]

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        data = json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url.removesuffix("/v1") + "/health") as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("vllm") / "log"
    server = Server(POLICY, log, "--enable-prompt-tokens-details")
    try:
        print(f"server: answers after {server.start():.0f} s")
        yield server
    finally:
        server.kill()


def spec(server: Server) -> str:
    return f"server:{server.url}?tokenizer={POLICY}"


def answer(engine: Engine, asks: list[Ask]) -> list[Replies]:
    for ticket, ask in enumerate(asks):
        engine.submit(ticket, ask)
    answers: dict[int, Replies | Failure] = {}
    while len(answers) < len(asks):
        answers.update(engine.poll(0.02))
    engine.close()
    assert not [each for each in answers.values() if isinstance(each, Failure)]
    return [answers[ticket] for ticket in range(len(asks))]  # type: ignore[misc]


def test_the_server_reads_the_token_ids_that_we_write(server: Server) -> None:
    chat = Chat.load(POLICY)
    prompt = prompts.solve(QUESTIONS[0])
    ids = chat.encode(prompt)
    settings = {"model": "model", "max_tokens": 1, "return_token_ids": True}
    forms = [{"prompt": ids}, {"prompt": chat.render(prompt), "add_special_tokens": False}]
    for form in forms:
        said = server.post("/completions", settings | form)
        assert said["choices"][0]["prompt_token_ids"] == ids


def test_greedy_text_is_that_of_the_embedded_engine(server: Server) -> None:
    asks = [Ask(prompts.solve(question), temperature=0.0) for question in QUESTIONS]
    start = time.monotonic()
    theirs = answer(open_engine(spec(server)), asks)
    seconds = time.monotonic() - start
    ours = answer(open_engine(f"local:{POLICY}", processes=0), asks)
    chat = Chat.load(POLICY)
    for ask, (their,), (our,) in zip(asks, theirs, ours, strict=True):
        assert (their.text, their.finished, their.tokens) == (our.text, our.finished, our.tokens)
        assert their.logprob == pytest.approx(our.logprob, abs=1e-3)
        assert their.prompt_tokens == len(chat.encode(ask.prompt))
    tokens = sum(reply.tokens for (reply,) in theirs)
    print(
        f"server: {len(asks)} greedy texts equal; {tokens / seconds:,.0f} tokens/s, probe included"
    )


def test_a_run_survives_a_server_that_is_killed_and_comes_back(
    server: Server, tmp_path: Path
) -> None:
    write_problems(tmp_path / "problems.jsonl", problems("pool", GROWN, seed=3))
    run = tmp_path / "run"
    command = [sys.executable, "-m", "whorl", "grow", "--recipe", "sigma", "--run", str(run)]
    command += ["--problems", str(tmp_path / "problems.jsonl"), "--policy", spec(server)]
    command += ["--critic", f"local:{TEACHER}", "--reviser", f"local:{TEACHER}"]

    start = time.monotonic()
    with (tmp_path / "log").open("wb") as log:
        growing = subprocess.Popen(command, stdout=log, stderr=log)
    while len(before := _recorded(run)) < 200:
        assert growing.poll() is None, (tmp_path / "log").read_text()[-2000:]
        assert server.alive(), server.said()
        time.sleep(0.1)
    server.kill()
    assert growing.poll() is None
    away = server.start()
    assert growing.wait(600) == 0, (tmp_path / "log").read_text()[-2000:]
    seconds = time.monotonic() - start

    after = _recorded(run)
    assert before.items() <= after.items()
    assert len(after) > len(before)
    trees = (run / "trees.jsonl").read_bytes()
    assert (run / "failures.jsonl").read_bytes() == b""
    assert len(list(read_trees(run / "trees.jsonl"))) == 2 * GROWN

    (run / "trees.jsonl").unlink()  # grown again from the record, they are the same
    subprocess.run(command, check=True, capture_output=True)
    assert (run / "trees.jsonl").read_bytes() == trees
    assert _recorded(run) == after
    tokens = sum(tokens for *_, tokens in after.values())
    print(
        f"server: SIGMA on {GROWN} problems in {seconds:.0f} s, the server away for {away:.0f} s; "
        f"{tokens:,} tokens in {len(after):,} replies, {len(before):,} of them before the kill"
    )


def test_a_reward_model_behind_a_server_says_what_it_says_here(tmp_path: Path) -> None:
    """Qwen2.5-Math-PRM's architecture, tiny and untrained."""
    import torch
    from transformers import Qwen2Config

    from whorl.engines.prm import Qwen2ForProcessRewardModel

    tokenizer = Chat.load(POLICY).tokenizer
    tokenizer.add_special_tokens({"additional_special_tokens": [SEPARATOR]})
    tokenizer.save_pretrained(tmp_path)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        initializer_range=0.3,
    )
    Qwen2ForProcessRewardModel(config).save_pretrained(tmp_path)

    steps = ["7 + 5 = 12", "12 - 4 = 8", "The answer is 8."]
    prompts = [
        Prompt("", question, "\n\n".join(steps[:count]))
        for question in QUESTIONS[:8]
        for count in (1, 2, 3)
    ]
    asks = [Ask(prompt, role="prm") for prompt in prompts]
    pooler = json.dumps({"step_tag_id": tokenizer.convert_tokens_to_ids(SEPARATOR)})
    flags = ("--runner", "pooling", "--pooler-config", pooler)
    server = Server(tmp_path, tmp_path / "log", *flags)
    try:
        server.start()
        engine = open_engine(f"scores:{server.url}?tokenizer={tmp_path}")
        theirs = [reply.value for (reply,) in answer(engine, asks)]
    finally:
        server.kill()
    ours = [reply.value for (reply,) in answer(open_engine(f"prm:{tmp_path}", processes=0), asks)]
    assert theirs == pytest.approx(ours, abs=1e-4)
    assert max(ours) - min(ours) > 0.1
    print(f"server: {len(asks)} steps scored as the embedded reward model scores them")


def _recorded(run: Path) -> dict[bytes, tuple[str, bytes]]:
    """The replies of models in a run's journal."""
    try:
        with contextlib.closing(
            sqlite3.connect(f"file:{run}/journal.db?mode=ro", uri=True)
        ) as file:
            rows = file.execute("SELECT ask, role, replies FROM answer WHERE role != 'judge'")
            return {ask: (role, replies) for ask, role, replies in rows}
    except sqlite3.OperationalError:  # there is none yet
        return {}

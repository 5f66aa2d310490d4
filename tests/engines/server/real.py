"""Real servers in processes of their own, for tests that run where they are installed."""

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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from whorl import prompts
from whorl.ask import Ask, Engine, Failure, Given, Replies
from whorl.chat import Chat
from whorl.data.forest import read_trees
from whorl.data.problems import write_problems
from whorl.data.synthetic import problems
from whorl.engines import open_engine
from whorl.models import POLICY, TEACHER

GROWN = 24
"""Problems to grow trees for: enough to take half a minute."""


class Server:
    """A server of its own process group, which can be killed and started again.

    command: the command for a port.
    """

    def __init__(self, command: Callable[[int], Sequence[str]], log: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/v1"
        self._command = command(port)
        self._log = log

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


def answer(engine: Engine, asks: list[Ask]) -> list[Replies]:
    for ticket, ask in enumerate(asks):
        engine.submit(ticket, ask)
    answers: dict[int, Replies | Failure] = {}
    while len(answers) < len(asks):
        answers.update(engine.poll(0.02))
    engine.close()
    assert not [each for each in answers.values() if isinstance(each, Failure)]
    return [answers[ticket] for ticket in range(len(asks))]  # type: ignore[misc]


def given_texts(questions: Sequence[str]) -> list[Ask]:
    """Texts to be read, several behind each prompt: caches know its beginning."""
    texts = ("7+5=12 apples.\n\nThe answer is \\boxed{12}.", "12", "Caf\u00e9 \u7b54\u6848")
    return [
        Ask(prompts.solve(question), "teacher", given=Given(text, ended))
        for question in questions
        for text in texts
        for ended in (True, False)
    ]


def are_as_likely(theirs: Sequence[Replies], ours: Sequence[Replies]) -> None:
    """Log-probabilities of given tokens are the same."""
    furthest = 0.0
    for (their,), (our,) in zip(theirs, ours, strict=True):
        assert (their.tokens, their.prompt_tokens) == (our.tokens, our.prompt_tokens)
        pairs = zip(their.logprobs, our.logprobs, strict=True)
        furthest = max(furthest, *(abs(one - other) for one, other in pairs))
    print(f"{len(ours)} given texts: at most {furthest:.1e} from the embedded engine's")
    assert furthest < 1e-3


def says_what_the_embedded_engine_says(policy: str, questions: Sequence[str]) -> None:
    """The shipped policy behind a server: greedy solutions, their log-probabilities and prompts."""
    asks = [Ask(prompts.solve(question), temperature=0.0) for question in questions]
    start = time.monotonic()
    theirs = answer(open_engine(policy), asks)
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


def killed_and_back(server: Server, policy: str, folder: Path) -> None:
    """SIGMA with a policy behind a server that is killed and started again in the middle: no search
    fails, nothing recorded is asked again, and the record alone gives the same trees."""
    write_problems(folder / "problems.jsonl", problems("pool", GROWN, seed=3))
    run = folder / "run"
    command = [sys.executable, "-m", "whorl", "grow", "--recipe", "sigma", "--run", str(run)]
    command += ["--problems", str(folder / "problems.jsonl"), "--policy", policy]
    command += ["--critic", f"local:{TEACHER}", "--reviser", f"local:{TEACHER}"]

    start = time.monotonic()
    with (folder / "log").open("wb") as log:
        growing = subprocess.Popen(command, stdout=log, stderr=log)
    while len(before := recorded(run)) < 80:
        assert growing.poll() is None, (folder / "log").read_text()[-2000:]
        assert server.alive(), server.said()
        time.sleep(0.1)
    server.kill()
    assert growing.poll() is None
    away = server.start()
    assert growing.wait(600) == 0, (folder / "log").read_text()[-2000:]
    seconds = time.monotonic() - start

    after = recorded(run)
    assert before.items() <= after.items()
    assert len(after) > len(before)
    trees = (run / "trees.jsonl").read_bytes()
    assert (run / "failures.jsonl").read_bytes() == b""
    assert len(list(read_trees(run / "trees.jsonl"))) == 2 * GROWN

    (run / "trees.jsonl").unlink()
    subprocess.run(command, check=True, capture_output=True)
    assert (run / "trees.jsonl").read_bytes() == trees
    assert recorded(run) == after
    tokens = sum(tokens for *_, tokens in after.values())
    print(
        f"server: SIGMA on {GROWN} problems in {seconds:.0f} s, the server away for {away:.0f} s; "
        f"{tokens:,} tokens in {len(after):,} answers, {len(before):,} of them before the kill"
    )


def recorded(run: Path) -> dict[bytes, tuple[str, bytes, int]]:
    """The answers of models in a run's journal."""
    try:
        with contextlib.closing(
            sqlite3.connect(f"file:{run}/journal.db?mode=ro", uri=True)
        ) as file:
            rows = file.execute(
                "SELECT ask, role, replies, tokens FROM answer WHERE role != 'judge'"
            )
            return {ask: (role, replies, tokens) for ask, role, replies, tokens in rows}
    except sqlite3.OperationalError:  # there is none yet
        return {}

"""A real server that lacks much of what a search wants: `transformers serve`."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.engines.server.conftest import Opened, answer

from whorl import prompts
from whorl.ask import Ask, Engine
from whorl.data.synthetic import problems
from whorl.engines import open_engine
from whorl.models import POLICY

pytestmark = pytest.mark.slow

QUESTIONS = [problem.question for problem in problems("test", 6, seed=4)]


@pytest.fixture(scope="module")
def sampling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped policy, told to sample: without that this server ignores the temperature."""
    folder = tmp_path_factory.mktemp("model") / "policy"
    shutil.copytree(POLICY, folder)
    path = folder / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"do_sample": True}))
    return folder


@pytest.fixture(scope="module")
def url(sampling: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("transformers")
    command = [program, "serve", str(sampling), "--port", str(port), "--device", "cpu"]
    log = tmp_path_factory.mktemp("serve") / "log"
    with log.open("wb") as out:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        server = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
    try:
        for _ in range(1200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
                break
            except OSError:
                assert server.poll() is None, log.read_text()
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def local() -> Iterator[Engine]:
    engine = open_engine(f"local:{POLICY}", processes=0)
    yield engine
    engine.close()


def test_it_says_what_the_embedded_engine_says(
    url: str, sampling: Path, opened: Opened, local: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "whorl.engines")
    there = opened(url, model=sampling)
    told = caplog.messages[-1]
    for lack in (
        "no: a request for each",
        "not told: read as a stream",
        "log-probabilities      no",
    ):
        assert lack in told
    assert "text to /completions" in told
    for question in QUESTIONS:
        whole = Ask(prompts.solve(question), max_tokens=200, temperature=0.0)
        step = replace(whole, stop=("\n\n",), max_tokens=48)
        (first,), (start,) = answer(there, whole), answer(there, step)
        (expected,), (begun,) = answer(local, whole), answer(local, step)
        assert (first.text, first.finished) == (expected.text, expected.finished)
        assert (start.text, start.finished) == (begun.text, begun.finished)
        second = replace(step, prompt=replace(step.prompt, prefix=f"{start.text}\n\n"))
        assert answer(there, second)[0].text == answer(local, second)[0].text


def test_several_samples_are_several_requests(url: str, sampling: Path, opened: Opened) -> None:
    ask = Ask(prompts.solve(QUESTIONS[0]), n=6, max_tokens=64, temperature=1.5, seed=3)
    replies = answer(opened(url, model=sampling), ask)
    assert len(replies) == 6
    assert len({reply.text for reply in replies}) > 1
    assert all(reply.prompt_tokens > 0 for reply in replies)

"""Models in processes of their own, with real processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from whorl import prompts
from whorl.ask import Ask, Engine, Failure, Replies
from whorl.engines import open_engine
from whorl.engines.workers import Workers
from whorl.errors import UserError


def asks(count: int) -> list[Ask]:
    return [
        Ask(prompts.solve(f"What is {n} + {n}?"), n=2, max_tokens=8, seed=n) for n in range(count)
    ]


def collect(engine: Engine, count: int, *, patience: float = 120.0) -> dict[int, Replies | Failure]:
    found: dict[int, Replies | Failure] = {}
    until = time.monotonic() + patience
    while len(found) < count and time.monotonic() < until:
        for ticket, answer in engine.poll(0.2):
            assert ticket not in found
            found[ticket] = answer
    return found


def test_processes_answer_as_the_engine_in_this_process_does(tiny_model: Path) -> None:
    inside = open_engine(f"local:{tiny_model}", processes=0)
    outside = open_engine(f"local:{tiny_model}", processes=2)
    try:
        for ticket, ask in enumerate(asks(12)):
            inside.submit(ticket, ask)
            outside.submit(ticket, ask)
        expected = collect(inside, 12)
        assert len(expected) == 12
        assert collect(outside, 12) == expected
    finally:
        outside.close()


def test_a_process_that_dies_fails_its_own_asks_and_the_others_go_on(tiny_model: Path) -> None:
    engine = Workers(f"local:{tiny_model}", 2)
    try:
        for ticket, ask in enumerate(asks(8)):
            engine.submit(ticket, ask)
        assert len(collect(engine, 8)) == 8
        victim = engine._workers[0]
        victim.process.kill()
        victim.process.wait()
        for ticket, ask in enumerate(asks(16), start=100):
            engine.submit(ticket, ask)
        found = collect(engine, 16)
        failed = [answer for answer in found.values() if isinstance(answer, Failure)]
        assert len(found) == 16
        assert 0 < len(failed) < 16
        assert "exit code -9" in failed[0].error
        engine.submit(200, asks(1)[0])
        assert isinstance(collect(engine, 1)[200], tuple)
    finally:
        engine.close()


def test_a_model_that_cannot_be_opened_is_refused_before_any_process_starts(
    tmp_path: Path, tiny_model: Path
) -> None:
    with pytest.raises(UserError, match=r"config\.json"):
        open_engine(f"local:{tmp_path}")
    with pytest.raises(UserError, match="did you mean local"):
        open_engine(f"locl:{tiny_model}")


def test_no_process_outlives_a_parent_that_is_killed(tiny_model: Path) -> None:
    code = (
        "import sys, time; from whorl.engines.workers import Workers;"
        f"w = Workers('local:{tiny_model}', 1);"
        "print(w._workers[0].process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 60
    while time.monotonic() < until and _alive(child):
        time.sleep(0.1)
    assert not _alive(child)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()

"""Engines in their own processes: same answers, and every way to end."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from whorl import engines
from whorl.ask import Ask, Engine, Failure, Lasting, Prompt, Reply
from whorl.engines import open_engine, workers
from whorl.engines.function import Function
from whorl.engines.local import Local
from whorl.engines.workers import Workers
from whorl.errors import UserError


def collect(engine, count):
    """All replies, without what a cache knew of their prompts: each process has its own."""
    answers = {}
    while len(answers) < count:
        answers |= engine.poll(1.0)
    return [known_of_nothing(answers[ticket]) for ticket in range(count)]


def known_of_nothing(answer):
    if isinstance(answer, Failure):
        return answer
    return tuple(replace(reply, cached_tokens=0) for reply in answer)


@pytest.fixture(scope="module")
def folder(llama) -> Path:
    return llama()


def asks_about(count: int) -> list[Ask]:
    prompts = [Prompt("", f"Problem: {number}\n" + "has " * number) for number in range(count)]
    return [Ask(prompt, n=3, max_tokens=20, seed=number) for number, prompt in enumerate(prompts)]


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[Workers]:
    engine = open_engine(f"local:{folder}", processes=2)
    assert isinstance(engine, Workers)
    yield engine
    engine.close()


def processes(engine: Workers) -> list[BaseProcess]:
    return [worker.process for worker in engine._workers]


def test_answers_like_the_engine_in_process_whoever_dies(folder: Path, engine: Workers) -> None:
    asks, here = asks_about(40), Local(folder)
    for ticket, ask in enumerate(asks):
        engine.submit(ticket, ask)
        here.submit(ticket, ask)
    expected = collect(here, len(asks))
    assert collect(engine, len(asks)) == expected

    first, second = processes(engine)
    os.kill(first.pid, signal.SIGSTOP)  # so that it cannot answer before it dies
    for ticket, ask in enumerate(asks):
        engine.submit(ticket, ask)
    engine.poll(0.0)
    os.kill(first.pid, signal.SIGKILL)
    assert collect(engine, len(asks)) == expected
    again, other = processes(engine)
    assert again.pid != first.pid and other is second
    assert not engine.lost

    other.kill()  # while nothing is asked
    other.join()
    for ticket, ask in enumerate(asks):
        engine.submit(ticket, ask)
    assert collect(engine, len(asks)) == expected
    assert not engine.lost


def test_an_ask_that_kills_its_process_fails_alone(folder: Path, engine: Workers) -> None:
    """One for so many samples that their list is too large for any memory."""
    asks, here, deadly = asks_about(12), Local(folder), 4
    for ticket, ask in enumerate(asks):
        here.submit(ticket, ask)
        engine.submit(ticket, replace(ask, n=10**12) if ticket == deadly else ask)
    expected, answers = collect(here, len(asks)), collect(engine, len(asks))
    failure = answers[deadly]
    assert isinstance(failure, Failure)
    assert "died over it 3 times, with exit code 1" in failure.error
    assert [*answers[:deadly], *answers[deadly + 1 :]] == [
        *expected[:deadly],
        *expected[deadly + 1 :],
    ]
    assert not engine.lost


def test_a_process_that_cannot_be_started_again_leaves_its_asks_to_the_others(
    folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "model"
    shutil.copytree(folder, copy)
    asks, here = asks_about(12), Local(folder)
    for ticket, ask in enumerate(asks):
        here.submit(ticket, ask)
    expected = collect(here, len(asks))
    engine = Workers(f"local:{copy}", processes=2)
    shutil.rmtree(copy)
    first, second = processes(engine)
    first.kill()
    for ticket, ask in enumerate(asks):
        engine.submit(ticket, ask)
    assert collect(engine, len(asks)) == expected
    assert engine.lost and not engine.rest()
    second.kill()
    engine.submit(0, asks[0])
    (failure,) = collect(engine, 1)
    assert isinstance(failure, Failure)
    assert "is left: there is no model folder" in failure.error
    engine.close()


PARENT = """
import sys, time
from whorl.ask import Ask, Prompt
from whorl.engines import open_engine
if __name__ == "__main__":
    engine = open_engine(sys.argv[1])
    print(engine._workers[0].process.pid, flush=True)
    try:
        for ticket in range(10**6):
            engine.submit(ticket, Ask(Prompt("", "Anna"), max_tokens=50, seed=ticket))
            engine.poll(0.01)
    except KeyboardInterrupt:
        engine.close()
        print("closed", flush=True)
"""


def _heeds_interrupts() -> None:
    """A suite that runs in the background may have been told to ignore them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_process_is_left_when_the_parent_ends(folder: Path, tmp_path: Path, how: int) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen(
        [sys.executable, str(script), f"local:{folder}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_heeds_interrupts,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    time.sleep(0.3)
    if how == signal.SIGINT:
        os.killpg(parent.pid, how)  # as the terminal does
    else:
        parent.kill()
    said, errors = parent.communicate(timeout=60)
    deadline = time.monotonic() + 30
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{child}").exists()
    if how == signal.SIGINT:
        assert said == "closed\n"
    assert "Traceback" not in errors


def test_an_engine_that_cannot_be_opened_is_one_line(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"torn")
    for processes in (0, 1):
        with pytest.raises(UserError, match="local:") as caught:
            open_engine(f"local:{tmp_path}", processes=processes)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kills", "said"), [(1, "there is no model folder"), (3, "ended at once, with exit code -9")]
)
def test_a_process_that_is_killed_while_it_loads_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int, said: str
) -> None:
    """What the last one says of a folder that is not there is its own word."""
    spawn, started = workers._spawn, []

    def killed(spec: str) -> workers._Worker:
        worker = spawn(spec)
        started.append(worker.process)
        if len(started) <= kills:
            worker.process.kill()
        return worker

    monkeypatch.setattr(workers, "_spawn", killed)
    with pytest.raises(UserError, match=said):
        Workers(f"local:{tmp_path / 'gone'}")
    assert len(started) == min(kills + 1, 3)


def test_what_the_engine_cannot_do_is_passed_on(folder: Path) -> None:
    engine = open_engine(f"local:{folder}")
    assert isinstance(engine, Lasting) and not engine.lost
    assert not engine.rest()
    engine.submit(0, Ask(Prompt("", "Anna"), max_tokens=3))
    assert not isinstance(collect(engine, 1)[0], Failure), "it goes on"
    assert not engine.reload(folder)
    engine.close()


def answered_by_a_child(pipe: Connection) -> None:
    """An engine that starts a process when it is opened, as vLLM does over several GPUs."""

    def opened(spec: str, processes: int) -> Engine:
        child = get_context("spawn").Process(target=print, args=(spec, processes))
        child.start()
        child.join()
        return Function(lambda ask: (Reply("yes", "eos", 1),))

    engines.open_engine = opened
    workers._serve("vllm:model", pipe)


def test_an_engine_may_start_processes_of_its_own() -> None:
    ours, theirs = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=answered_by_a_child, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    assert ours.poll(60) and ours.recv() is None, "it is open"
    ours.send([(7, Ask(Prompt("", "well?")))])
    assert ours.poll(60)
    ((ticket, (reply,)),) = ours.recv()
    assert (ticket, reply.text) == (7, "yes")
    ours.close()
    process.join(60)
    assert process.exitcode == 0

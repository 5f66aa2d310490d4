"""The seconds of work that several calls do, however each ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from whorl.compare.clock import EVERY, Clock, begun

WORK = """
import sys, time
from pathlib import Path
from whorl.compare.clock import Clock
with Clock(Path(sys.argv[1])):
    while True:
        pass
"""


def test_a_call_that_was_killed_is_counted(tmp_path: Path) -> None:
    record = tmp_path / "begun.json"
    process = subprocess.Popen([sys.executable, "-c", WORK, str(record)])
    deadline = time.monotonic() + 60
    while not record.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    killed = begun(record)
    assert killed.wall >= EVERY and killed.cpu > 0
    with pytest.raises(KeyboardInterrupt), Clock(record):
        raise KeyboardInterrupt
    stopped = begun(record)
    assert stopped.wall > killed.wall and stopped.cpu >= killed.cpu
    with Clock(record) as clock:
        assert clock.read().wall > stopped.wall and clock.read().cpu >= stopped.cpu
    assert not record.exists(), "what is complete has its seconds elsewhere"


def test_work_that_was_not_begun_starts_at_nothing(tmp_path: Path) -> None:
    with Clock(tmp_path / "begun.json") as clock:
        assert 0 <= clock.read().wall < 10


BUSY = """
import sys, time
while time.process_time() < 0.6:
    pass
print("done", flush=True)
sys.stdin.read()
"""


def test_processes_that_were_started_count_while_they_live_and_after(tmp_path: Path) -> None:
    with Clock(tmp_path / "begun.json") as clock:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen([sys.executable, "-c", BUSY], **pipes) as engine:
            assert engine.stdout is not None
            assert engine.stdout.readline() == "done\n"
            alive = clock.read().cpu
            engine.communicate()
        assert 0.5 <= alive <= clock.read().cpu < 10  # the system counts in hundredths

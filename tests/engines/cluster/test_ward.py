"""Commands that end with whoever started them."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

LASTING = """
import os, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open(sys.argv[1] + ".part", "w") as file:
    file.write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1] + ".part", sys.argv[1])
time.sleep(600)
"""


@pytest.mark.parametrize("end", ["stdin closes", "the ward is killed", "the command is killed"])
def test_the_command_and_what_it_started_are_gone_when(end: str, tmp_path: Path) -> None:
    said = tmp_path / "pids"
    command = [sys.executable, "-c", LASTING, str(said)]
    ward = [sys.executable, "-m", "whorl.engines.cluster.ward", *command]
    with subprocess.Popen(ward, stdin=subprocess.PIPE) as process:
        while not said.exists():
            time.sleep(0.02)
        started = [psutil.Process(int(pid)) for pid in said.read_text().split()]
        if end == "the command is killed":
            started[0].kill()
            assert process.wait(20) == 128 + signal.SIGKILL
        elif end == "the ward is killed":
            process.kill()  # as Ray does with the children of an actor; then stdin closes
    _, alive = psutil.wait_procs(started, timeout=20)
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []


def test_it_ends_as_the_command_does() -> None:
    ward = [sys.executable, "-m", "whorl.engines.cluster.ward", sys.executable, "-c", "exit(3)"]
    with subprocess.Popen(ward, stdin=subprocess.PIPE) as process:
        assert process.wait() == 3

"""Commands that end with whoever started them."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

LASTING = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"


@pytest.mark.parametrize("end", ["stdin closes", "the ward is killed"])
def test_the_command_is_gone_when(end: str, tmp_path: Path) -> None:
    said = tmp_path / "pid"
    command = [sys.executable, "-c", LASTING, str(said)]
    ward = [sys.executable, "-m", "whorl.engines.cluster.ward", *command]
    with subprocess.Popen(ward, stdin=subprocess.PIPE) as process:
        while not (said.exists() and said.read_text()):
            time.sleep(0.02)
        child = psutil.Process(int(said.read_text()))
        if end == "stdin closes":
            assert process.stdin is not None
            process.stdin.close()
        else:
            process.send_signal(signal.SIGKILL)
        process.wait()
    _, alive = psutil.wait_procs([child], timeout=20)
    assert not alive or alive[0].status() == psutil.STATUS_ZOMBIE


def test_it_ends_as_the_command_does() -> None:
    ward = [sys.executable, "-m", "whorl.engines.cluster.ward", sys.executable, "-c", "exit(3)"]
    with subprocess.Popen(ward, stdin=subprocess.PIPE) as process:
        assert process.wait() == 3

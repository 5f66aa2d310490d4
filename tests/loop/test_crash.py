"""A run that is killed again and again ends as if nothing had happened (a small benchmark)."""

import json
import subprocess
import sys
from pathlib import Path

CRASH = Path(__file__).parents[2] / "benchmarks" / "crash.py"


def test_five_kills_leave_no_trace() -> None:
    command = [sys.executable, str(CRASH), "--kills", "5", "--problems", "40"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["kills"] == 5
    assert found["asked_twice"] == 0
    assert found["identical"] is True
    assert found["trees"] == 80
    assert found["working_lives"] >= 2
    assert found["asks_under_fire"] >= found["asks"] > 800

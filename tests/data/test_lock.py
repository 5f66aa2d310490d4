"""A process that holds a file, seen from another one."""

import subprocess
import sys
from pathlib import Path

import pytest

from whorl.data.lock import InUseError, held

HOLD = "import sys; from pathlib import Path; from whorl.data.lock import held\n"
WAIT = "with held(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"


def test_one_process_has_a_file_until_it_ends_however_it_does(tmp_path: Path) -> None:
    path = tmp_path / "new" / "scores.jsonl"
    command = [sys.executable, "-c", HOLD + WAIT, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout and other.stdout.readline() == b"held\n"
        with pytest.raises(InUseError, match=f"is in use by process {other.pid} on "), held(path):
            pass
        other.kill()
    assert (path.parent / "scores.jsonl.lock").exists(), "it was killed"
    with held(path):
        pass
    assert not list(path.parent.iterdir())

"""Ctrl-C and a disk that fills up in the middle of growing: the same command goes on."""

import resource
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from whorl.data.problems import write_problems
from whorl.data.synthetic import problems
from whorl.models import POLICY

WHORL = "from whorl.__main__ import main; main()"

Row = tuple[int, bytes]


def recorded(journal: Path) -> set[Row]:
    """Rows of a journal; one that is written again gets another number."""
    with closing(sqlite3.connect(journal)) as database:
        return set(database.execute("SELECT rowid, ask FROM answer"))


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """A command that takes some seconds."""
    write_problems(tmp_path / "p.jsonl", problems("pool", 20, seed=0, levels=[1]))
    return [
        *("grow", "--recipe", "rft", "--width", "2", "--problems", str(tmp_path / "p.jsonl")),
        *("--policy", f"local:{POLICY}", "--run", str(tmp_path / "run"), "--set", "samples=2"),
    ]


def _heeds_interrupts() -> None:
    """A suite that runs in the background may have been told to ignore them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_ends_cleanly_and_the_same_command_goes_on(
    whorl, arguments: list[str], tmp_path: Path
) -> None:
    journal = tmp_path / "run" / "journal.db"
    process = subprocess.Popen(
        [sys.executable, "-c", WHORL, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heeds_interrupts,
    )
    deadline = time.monotonic() + 200
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
        if journal.exists() and _answered(journal):
            process.send_signal(signal.SIGINT)
            break
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    *_, last = errors.splitlines()
    assert last.startswith("stopped, and nothing finished is lost. To go on, repeat: whorl grow")
    assert "Traceback" not in errors

    before = recorded(journal)
    again = whorl(*arguments, "--processes", 0)
    assert again.exit_code == 0, again.output
    assert before and before <= recorded(journal)
    assert len((tmp_path / "run" / "trees.jsonl").read_text().splitlines()) == 20


def _answered(journal: Path) -> bool:
    try:
        return bool(recorded(journal))
    except sqlite3.Error:  # not made yet
        return False


def test_a_disk_that_fills_up_loses_nothing(whorl, arguments: list[str], tmp_path: Path) -> None:
    limit = 32_768
    done = subprocess.run(
        [sys.executable, "-c", WHORL, *arguments, "--processes", "0"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    *_, last = done.stderr.splitlines()
    assert last.startswith("error: ") and "give the same command again" in last
    assert "Traceback" not in done.stderr

    before = recorded(tmp_path / "run" / "journal.db")
    again = whorl(*arguments, "--processes", 0)
    assert again.exit_code == 0, again.output
    assert before <= recorded(tmp_path / "run" / "journal.db")
    assert len((tmp_path / "run" / "trees.jsonl").read_text().splitlines()) == 20

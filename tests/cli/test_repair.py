"""A damaged journal is one line, and with --repair the run ends as if nothing had been."""

from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

from whorl.models import POLICY


def test_what_a_damaged_journal_has_lost_is_asked_again(
    whorl: Callable[..., Result], easy: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = ("--recipe", "rft", "--policy", f"local:{POLICY}", "--run", run, "--processes", 0)
    tokens = ("--set", "samples=2", "--set", "sampling.solution_tokens=40")

    def grow(*more: str) -> Result:
        return whorl("grow", "--problems", easy, *words, *tokens, *more)

    assert grow().exit_code == 0
    before = (run / "trees.jsonl").read_bytes()
    (run / "trees.jsonl").unlink()
    content = (run / "journal.db").read_bytes()
    at = content.index(b"policy") + 20
    (run / "journal.db").write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
    damaged = grow()
    assert damaged.exit_code == 2
    (line,) = [line for line in damaged.stderr.splitlines() if line.startswith("error:")]
    assert "is damaged: row" in line and "--repair" in line
    again = grow("--repair")
    assert again.exit_code == 0, again.output
    assert "repaired" in again.stderr
    assert (run / "trees.jsonl").read_bytes() == before

"""`whorl status`: of a run that is over, and of what is no run."""

import json
from pathlib import Path

from whorl.models import POLICY


def test_a_run_tells_how_far_it_came(whorl, easy: Path, tmp_path: Path) -> None:
    run = tmp_path / "a"
    arguments = ("--recipe", "rft", "--policy", f"local:{POLICY}", "--processes", "0")
    grown = whorl(
        *("grow", "--problems", easy, "--run", run, *arguments),
        *("--set", "samples=2", "--set", "sampling.solution_tokens=64"),
    )
    assert grown.exit_code == 0, grown.stderr
    shown = whorl("status", run, "--watch", "--json")
    assert shown.exit_code == 0, shown.stderr
    assert "finished after" in shown.stdout
    assert "grow: 8/8 done" in shown.stdout
    said = json.loads(shown.stdout.splitlines()[-1])
    assert said["life"] == "done"
    assert said["stages"][0]["counts"]["done"] == 8
    assert said["begun"]["models"]["policy"].startswith("local:")


def test_where_nothing_was_written_down_there_is_no_status(whorl, tmp_path: Path) -> None:
    shown = whorl("status", tmp_path)
    assert shown.exit_code == 2
    assert "there are no events" in shown.stderr
    (tmp_path / "run" / "shards").mkdir(parents=True)
    (tmp_path / "scores.shards").mkdir()
    for name in ("run", "scores.jsonl"):
        assert "is made in shards" in whorl("status", tmp_path / name).stderr
    (tmp_path / "run" / "round-1").mkdir()
    told = whorl("status", tmp_path / "run" / "round-1").stderr
    assert f"its run says how far it is: whorl status {tmp_path / 'run'}" in " ".join(told.split())

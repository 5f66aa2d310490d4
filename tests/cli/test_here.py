"""Folders that are named by where they are, and folders that look like rounds and are none."""

from pathlib import Path

import pytest

from whorl.models import POLICY

RUN = (
    'run = "{run}"\nproblems = "{problems}"\nrecipe.name = "rft"\nrounds = {rounds}\n'
    "recipe.samples = 2\nrecipe.sampling.solution_tokens = 60\ntrain.epochs = 1\n"
    f'engines.policy = "local:{POLICY}"\nengines.processes = 0\n'
)


def test_a_run_folder_may_be_named_by_a_dot(
    whorl, easy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    monkeypatch.chdir(run)
    file = tmp_path / "run.toml"
    file.write_text(RUN.format(run=".", problems=easy, rounds=1))
    planned = whorl("plan", file, "--sample", 2)
    assert planned.exit_code == 0, planned.output
    assert (tmp_path / "run.plan" / "plan.json").exists() and not any(run.iterdir())
    played = whorl("run", file)
    assert played.exit_code == 0, played.output
    for command in ("show", "status", "harvest", "report"):
        done = whorl(command, ".")
        assert done.exit_code == 0, done.output
    for words, why in (
        (("merge", "."), "has no shards"),
        (("table", "."), "there is no file ."),
        (("show", "/"), "/ is the root of all folders"),
        (("train", "--examples", "examples.jsonl", "--model", POLICY, "--out", "."), "choose an"),
        (("evaluate", "--model", POLICY, "--problems", easy, "--out", "."), "choose another"),
    ):
        refused = whorl(*words)
        assert refused.exit_code == 2 and why in refused.stderr, refused.output
    monkeypatch.chdir(run / "round-1")
    assert "is a round; its run says how far it is" in whorl("status", ".").stderr
    assert whorl("show", "..").exit_code == 0


def test_a_copy_of_a_round_is_no_round(whorl, easy: Path, tmp_path: Path) -> None:
    run, file = tmp_path / "run", tmp_path / "run.toml"
    file.write_text(RUN.format(run=run, problems=easy, rounds=2))
    played = whorl("run", file)
    assert played.exit_code == 0, played.output
    both = whorl("show", run).stdout
    (run / "round-2").rename(run / "round-2.bak")
    one = whorl("show", run)
    assert one.exit_code == 0, one.output
    assert 0 < len(one.stdout.splitlines()) < len(both.splitlines())
    assert "has no round 2; there are 1" in whorl("show", run, "--round", 2).stderr
    assert "of 8 trees" in whorl("harvest", run).stderr

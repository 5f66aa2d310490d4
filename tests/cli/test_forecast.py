"""`whorl plan` before a run, and `whorl plan --check` after it."""

import re
from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

from whorl.data.forest import read_trees
from whorl.data.problems import write_problems
from whorl.data.synthetic import problems
from whorl.evaluate import read_records
from whorl.models import POLICY


def test_a_run_is_planned_played_and_checked(
    whorl: Callable[..., Result], easy: Path, held: Path, tmp_path: Path
) -> None:
    file, run = tmp_path / "run.toml", tmp_path / "run"
    file.write_text(
        f'run = "{run}"\nproblems = "{easy}"\ntest = "{held}"\nrecipe.name = "rft"\n'
        f"recipe.samples = 4\nrecipe.sampling.solution_tokens = 60\ntrain.epochs = 1\n"
        f'evaluate.max_tokens = 20\nengines.policy = "local:{POLICY}"\nengines.processes = 0\n'
    )
    early = whorl("plan", file, "--check")
    assert early.exit_code == 2 and "whorl plan makes it before a run" in early.stderr
    planned = whorl("plan", file, "--sample", 4, "--machines", 2, "--hour", 3)
    assert planned.exit_code == 0, planned.output
    assert "8 problems, 1 rounds, 8 searches" in planned.stdout
    for name in ("tokens sampled", "storage", "wall time, 2 machines", "money for devices"):
        assert name in planned.stdout
    assert "assumed:" in planned.stdout
    assert not run.exists()
    sampled = next(line for line in planned.stdout.splitlines() if line.startswith("tokens sam"))
    capped = whorl("plan", file, "--sample", 4, "--set", "budget.tokens=100")
    assert sampled in capped.stdout, capped.output
    assert "budget.tokens = 100 will end growing after about" in capped.stdout
    assert "has played no round" in whorl("plan", file, "--check").stderr
    assert whorl("run", file).exit_code == 0
    checked = whorl("plan", file, "--check")
    assert checked.exit_code == 0 and "1 of 1 rounds were played" in checked.stdout
    tokens = next(line for line in checked.stdout.splitlines() if line.startswith("tokens"))
    assert all(int(figure.replace(",", "")) > 50 for figure in tokens.split()[1:3])


def test_attempts_at_held_out_problems_are_planned(
    whorl: Callable[..., Result], tmp_path: Path
) -> None:
    file, run, asked = tmp_path / "run.toml", tmp_path / "run", tmp_path / "p.jsonl"
    write_problems(asked, problems("pool", 20, seed=0, levels=[1]))
    file.write_text(
        f'run = "{run}"\nproblems = "{asked}"\nrecipe.name = "rft"\nrecipe.samples = 2\n'
        "recipe.sampling.solution_tokens = 60\ntrain.epochs = 1\nevaluate.max_tokens = 60\n"
        f'engines.policy = "local:{POLICY}"\nengines.processes = 0\npatience = 1\nholdout = 0.3\n'
    )
    described = whorl("run", file, "--dry-run")
    assert described.exit_code == 0, described.output
    found = re.search(r"problems: (\d+), (\d+) more held out", described.stdout)
    assert found is not None
    grown, held = map(int, found.groups())
    most = f"8 attempts at each, {held * 8 * 60:,} tokens at most, 2 times"
    assert f"held out: {held} problems, {most}" in described.stdout
    planned = whorl("plan", file, "--sample", grown)
    assert planned.exit_code == 0, planned.output
    assert f"{held} problems held out and attempted 2 times" in planned.stdout
    assert "of one: evaluate" in planned.stdout
    assert whorl("run", file).exit_code == 0
    checked = whorl("plan", file, "--check")
    (line,) = [line for line in checked.stdout.splitlines() if line.startswith("tokens")]
    expected, actual = (int(figure.replace(",", "")) for figure in line.split()[1:3])
    records = [*run.glob("held-out-?.attempts.jsonl")]
    sampled = sum(one.tokens for p in records for r in read_records(p) for one in r.attempts)
    trees = read_trees(run / "round-1" / "trees.jsonl")
    assert len(records) == 2 and actual == sampled + sum(sum(t.cost.values()) for t in trees)
    assert 0.5 < expected / actual < 2


def test_training_by_states_is_timed_as_well(whorl: Callable[..., Result], tmp_path: Path) -> None:
    """The samples from a state are many examples: it is states that are divided into batches."""
    file, run, asked = tmp_path / "run.toml", tmp_path / "run", tmp_path / "p.jsonl"
    write_problems(asked, problems("pool", 8, seed=0, levels=[2]))
    file.write_text(
        f'run = "{run}"\nproblems = "{asked}"\npatience = 0\nrecipe.name = "marge"\n'
        "recipe.states = 3\nrecipe.samples = 8\nrecipe.sampling.solution_tokens = 120\n"
        'train.epochs = 1\ntrain.batch_of = "states"\ntrain.batch = 1024\n'
        f'engines.policy = "local:{POLICY}"\nengines.processes = 0\n'
    )
    planned = whorl("plan", file, "--sample", 8)
    assert planned.exit_code == 0, planned.output
    assert "of one: train" in planned.stdout and "NOT in it" not in planned.stdout

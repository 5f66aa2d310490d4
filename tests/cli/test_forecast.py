"""`whorl plan` before a run, and `whorl plan --check` after it."""

from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

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
    assert "has played no round" in whorl("plan", file, "--check").stderr
    assert whorl("run", file).exit_code == 0
    checked = whorl("plan", file, "--check")
    assert checked.exit_code == 0 and "1 of 1 rounds were played" in checked.stdout
    tokens = next(line for line in checked.stdout.splitlines() if line.startswith("tokens"))
    assert all(int(figure.replace(",", "")) > 50 for figure in tokens.split()[1:3])

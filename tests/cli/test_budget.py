"""Budgets from the command line: what is said when they end, and how it goes on."""

import json
import shlex
from pathlib import Path

import pytest

from whorl.data.problems import write_problems
from whorl.data.synthetic import problems
from whorl.models import POLICY
from whorl.problem import Problem

MODEL = f"local:{POLICY}"
SMALL = ("--set", "samples=2", "--set", "sampling.solution_tokens=60", "--processes", 0)


@pytest.fixture
def typed(whorl, monkeypatch: pytest.MonkeyPatch):
    """A command whose arguments are those of the process, as when it is typed."""

    def run(*arguments: object):
        words = [str(argument) for argument in arguments]
        monkeypatch.setattr("sys.argv", ["whorl", *words])
        return whorl(*words)

    return run


def test_growing_stops_at_the_budget_and_goes_on_with_a_larger_one(
    typed, easy: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    command = ("grow", "--recipe", "rft", "--problems", easy, "--policy", MODEL, *SMALL, "--run")
    first = typed(*command, run, "--set", "budget.requests=3")
    assert first.exit_code == 3, first.output
    *_, last = first.stderr.splitlines()
    assert last.startswith(
        "budget.requests = 3 lasts for 3 of 8 trees; 0 more are begun, nothing is lost. "
        "To go on, repeat this with a larger budget.requests: whorl grow --recipe rft "
    )
    assert len((run / "trees.jsonl").read_text().splitlines()) == 3
    assert typed("harvest", run).exit_code == 0

    timed = typed(*command, run, "--set", "budget.seconds=1e-9")
    assert timed.exit_code == 3 and "To go on, repeat this: whorl grow" in timed.stderr

    again = typed(*command, run, "--set", "budget.requests=8")
    assert again.exit_code == 0 and "8/8 done, 3 of them before" in again.stderr
    free = typed(*command, tmp_path / "free")
    assert free.exit_code == 0
    assert (run / "trees.jsonl").read_bytes() == (tmp_path / "free/trees.jsonl").read_bytes()


def test_the_budget_of_a_problem_belongs_to_the_run_folder(
    typed, easy: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    command = ("grow", "--recipe", "step_dpo", "--problems", easy, "--policy", MODEL, "--run", run)
    command = (*command, "--processes", 0, "--limit", 3, "--set", "uct.simulations=4")
    cut = typed(*command, "--set", "budget.problem.requests=2")
    assert cut.exit_code == 0 and "3/3 done, 3 cut short" in cut.stderr
    trees = [json.loads(line) for line in (run / "trees.jsonl").read_text().splitlines()]
    assert [tree["cut_short"] for tree in trees] == ["budget.problem.requests = 2 is spent"] * 3
    assert typed("harvest", run).exit_code == 0
    other = typed(*command)
    assert other.exit_code == 2
    assert "budget.problem.requests: not set here, 2 in the run folder" in other.stderr


def test_a_run_stops_at_its_budget_and_says_what_failed(typed, tmp_path: Path) -> None:
    """The budget is that of all rounds; a problem that is too long fails in each."""
    long = Problem("long", "1+" * 3000 + "1", "3001")
    good = list(problems("pool", 3, seed=0, levels=[1]))
    write_problems(tmp_path / "p.jsonl", [good[0], long, *good[1:]])
    run, file = tmp_path / "run", tmp_path / "run.toml"
    file.write_text(
        f'run = "{run}"\nproblems = "{tmp_path / "p.jsonl"}"\nrounds = 2\nwidth = 1\n'
        f'engines.policy = "{MODEL}"\nengines.processes = 0\ntrain.epochs = 1\n'
        'may_fail = 1.0\n[recipe]\nname = "rft"\nsamples = 4\nsampling.solution_tokens = 120\n'
        "[budget]\nrequests = 5\n[budget.prices.policy]\nprompt = 1.0\nsampled = 2.0\n"
    )
    first = typed("run", file)
    assert first.exit_code == 3, first.output
    assert "failed: long#: policy: prompt has " in first.stderr
    assert "1 searches failed. They will be tried again." in first.stderr
    *_, last = first.stderr.splitlines()
    assert last.startswith("budget.requests = 5 lasts for 2 of 4 trees; 0 more are begun")
    assert last.endswith(f"with a larger budget.requests: whorl run {file}")
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 1
    assert not (run / "round-2" / "grown.json").exists()

    second = typed("run", file, "--set", "budget.requests=6")
    assert second.exit_code == 1, second.output
    rounds = (run / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["trees"] for line in rounds] == [3, 3]
    told = [line for line in second.stderr.splitlines() if "searches failed" in line]
    assert second.stderr.count("failed: long#: policy: prompt has ") == 2
    assert [line.partition(". To grow ")[0] for line in told] == [
        "1 searches failed. They were left out of round-1",
        "1 searches failed. They were left out of round-2",
    ]
    command = shlex.split(told[1].partition("after all: whorl ")[2])
    assert typed(*command).exit_code == 3  # for there is nothing left of the budget
    again = typed(*command, "--set", "budget.requests=7")
    assert again.exit_code == 1, again.output
    assert again.stderr.count("3/4 done, 3 of them before, 1 failed") == 2

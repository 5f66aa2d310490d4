"""Commands over servers: what they say, what they keep, and what they never tell."""

import logging
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from whorl.data.problems import write_problems
from whorl.data.synthetic import problems
from whorl.models import POLICY
from whorl.problem import Problem

Whorl = Callable[..., Result]
Server = Callable[..., str]
KEY = "open-sesame"
SUMS = [Problem(f"p{number}", f"What is {number}+{42 - number}?", "42") for number in range(6)]
"""Problems with the answer that a simulated server gives."""
GROW = ("grow", "--recipe", "rft", "--set", "samples=4")


def test_a_probe_says_what_a_server_can_do_and_what_it_says(
    whorl: Whorl, rig_server: Server
) -> None:
    done = whorl("probe", f"server:{rig_server()}?tokenizer={POLICY}")
    assert done.exit_code == 0
    assert "a prefix is continued" in done.stderr
    assert "\\boxed" in done.stdout


def test_the_key_is_in_no_file_and_on_no_screen(
    whorl: Whorl,
    rig_server: Server,
    held: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever goes well or badly; the server repeats a key that it does not take."""
    monkeypatch.setattr("whorl.engines.server.transport._PAUSE", 0.01)
    caplog.set_level(logging.DEBUG)
    faults = {"500": 0.1, "cut": 0.1, "malformed": 0.1, "429": 0.1}
    right = f"server:{rig_server(key=KEY)}?tokenizer={POLICY}&model=rig&key=RIG_KEY"
    rough = f"server:{rig_server(key=KEY, faults=faults, seed=2)}?tokenizer={POLICY}&key=RIG_KEY"
    wrong = f"server:{rig_server(key='another')}?tokenizer={POLICY}&key=RIG_KEY"
    monkeypatch.setenv("RIG_KEY", KEY)
    problems = tmp_path / "problems.jsonl"
    write_problems(problems, SUMS)
    file, run = tmp_path / "run.toml", tmp_path / "run"
    file.write_text(
        f'run = "{run}"\nproblems = "{problems}"\ntest = "{held}"\nbase = "{POLICY}"\n'
        f'recipe = {{name = "rft", samples = 4}}\nengines.policy = "{right}"\ntrain.epochs = 1\n'
    )
    grow = (*GROW, "--problems", problems, "--run")
    done = [
        (0, whorl("run", file, "--dry-run")),
        (0, whorl("run", file)),
        (0, whorl("evaluate", "--model", right, "--problems", held, "--out", tmp_path / "s.jsonl")),
        (0, whorl("probe", right)),
        (0, whorl(*grow, tmp_path / "rough", "--policy", rough)),
        (2, whorl(*grow, tmp_path / "wrong", "--policy", wrong)),
        (2, whorl("probe", wrong)),
        (2, whorl("run", file, "--dry-run", "--set", f"engines.policy={wrong}")),
    ]
    for code, result in done:
        assert result.exit_code == code, result.output
    assert "***" in done[5][1].stderr  # so it was repeated
    for _, result in done:
        assert KEY not in result.output
    assert KEY not in caplog.text
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"journal.db", "manifest.json", "report.html", "s.jsonl"} <= {p.name for p in files}
    for path in files:
        assert KEY.encode() not in path.read_bytes(), path


@pytest.mark.parametrize(
    "model",
    [
        "server:http://127.0.0.1:9/v1?key=open-sesame",
        "server:http://127.0.0.1:9/v1?api_key=open-sesame",
        "server:http://user:open-sesame@127.0.0.1:9/v1",
        "scores:http://127.0.0.1:9?key=open-sesame",
        "sever:http://127.0.0.1:9/v1?key=open-sesame",
    ],
)
def test_a_key_that_was_put_into_a_name_is_not_repeated(
    whorl: Whorl, easy: Path, tmp_path: Path, model: str
) -> None:
    run = tmp_path / "run"
    grow = (*GROW, "--problems", easy, "--policy", model, "--run", run)
    file = tmp_path / "run.toml"
    file.write_text(
        f'run = "{run}"\nproblems = "{easy}"\nbase = "{POLICY}"\nrecipe.name = "rft"\n'
        f'engines.policy = "{model}"\n'
    )
    scores = ("--problems", easy, "--out", tmp_path / "s.jsonl")
    for words in (
        grow,
        (*grow, "--dry-run"),
        ("run", file),
        ("run", file, "--dry-run"),
        ("evaluate", "--model", model, *scores),
        ("probe", model),
    ):
        done = whorl(*words)
        assert done.exit_code == 2
        assert KEY not in done.output
    assert not run.exists()


def test_a_run_goes_on_with_the_same_model_at_another_address(
    whorl: Whorl, rig_server: Server, easy: Path, tmp_path: Path
) -> None:
    def grow(limit: int) -> Result:
        model = f"server:{rig_server()}?tokenizer={POLICY}&model=rig"
        more = ("--policy", model, "--limit", limit)
        return whorl(*GROW, "--problems", easy, "--run", tmp_path / "run", *more)

    assert grow(3).exit_code == 0
    assert grow(8).exit_code == 0
    assert len((tmp_path / "run" / "trees.jsonl").read_text().splitlines()) == 8


def test_a_problem_without_an_answer_is_listed_with_the_command_that_tries_it_again(
    whorl: Whorl, rig_server: Server, easy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whorl.engines.server.transport._TRIES", 1)
    monkeypatch.setattr("whorl.engines.server.transport._PAUSE", 0.01)
    run = ("--problems", easy, "--run", tmp_path / "run")
    rough = rig_server(faults={"500": 0.3}, seed=1)
    done = whorl(*GROW, *run, "--policy", f"server:{rough}?tokenizer={POLICY}&model=rig")
    assert done.exit_code == 1
    assert "says 500" in done.stderr
    assert "To try them again" in done.stderr
    failed = len((tmp_path / "run" / "failures.jsonl").read_text().splitlines())
    assert 0 < failed < 8
    with sqlite3.connect(tmp_path / "run" / "journal.db") as journal:
        assert journal.execute("SELECT count(*) FROM answer").fetchone()[0] >= 8 - failed
    calm = f"server:{rig_server()}?tokenizer={POLICY}&model=rig"
    assert whorl(*GROW, *run, "--policy", calm).exit_code == 0


def test_a_server_that_is_not_there_is_one_line(whorl: Whorl, easy: Path, tmp_path: Path) -> None:
    model = "server:http://127.0.0.1:9/v1"
    done = whorl(*GROW, "--problems", easy, "--policy", model, "--run", tmp_path / "run")
    assert done.exit_code == 2
    opening, trouble = done.stderr.splitlines()
    assert opening.startswith("opening ") and "is the server running" in trouble
    assert not (tmp_path / "run").exists()


def test_a_served_policy_is_trained_from_the_folder_of_its_weights(
    whorl: Whorl, rig_server: Server, tmp_path: Path
) -> None:
    file = tmp_path / "run.toml"
    write_problems(tmp_path / "problems.jsonl", SUMS)
    run = f"""
    run = "{tmp_path / "run"}"
    problems = "{tmp_path / "problems.jsonl"}"
    recipe = {{name = "rft", samples = 4}}
    train = {{epochs = 1, max_length = 512}}
    [engines]
    policy = "server:{rig_server(right=0.8)}?tokenizer={POLICY}"
    """
    file.write_text(run)
    done = whorl("run", file)
    assert done.exit_code == 2
    assert "name the folder of its weights" in done.stderr
    file.write_text(f'base = "{POLICY}"\n{run}')
    assert whorl("run", file).exit_code == 0
    checkpoint = tmp_path / "run" / "round-1" / "checkpoint"
    assert (checkpoint / "model.safetensors").exists()
    assert "ended by" in whorl("probe", f"local:{checkpoint}").stderr


def test_searches_that_fail_in_any_round_are_tried_again_by_the_command_that_is_said(
    whorl: Whorl,
    rig_server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Critic and reviser are behind a server, so later rounds fail as well. With problems held out
    and a policy of its own in each round, `whorl grow` could not do the same."""
    monkeypatch.setattr("whorl.engines.server.transport._TRIES", 1)
    monkeypatch.setattr("whorl.engines.server.transport._PAUSE", 0.01)
    write_problems(tmp_path / "problems.jsonl", problems("pool", 12, seed=0, levels=[1]))
    file, run = tmp_path / "run.toml", tmp_path / "run"

    def played(faults: dict[str, float], *more: str) -> Result:
        helper = f"server:{rig_server(faults=faults, seed=6)}?tokenizer={POLICY}&model=rig"
        file.write_text(
            f'run = "{run}"\nproblems = "{tmp_path / "problems.jsonl"}"\nrounds = 2\n'
            f'patience = 2\nholdout = 0.3\nmay_fail = 1\ntrain.epochs = 1\nrecipe.name = "sigma"\n'
            "recipe.uct.simulations = 2\n[engines]\nprocesses = 0\n"
            f'policy = "local:{POLICY}"\ncritic = "{helper}"\nreviser = "{helper}"\n'
        )
        monkeypatch.setattr("sys.argv", ["whorl", "run", str(file), *more])
        return whorl("run", file, *more)

    def missing() -> list[int]:
        trees = [run / f"round-{number}" / "trees.jsonl" for number in (1, 2)]
        held = len((run / "held-out.jsonl").read_text().splitlines())
        return [2 * (12 - held) - len(path.read_text().splitlines()) for path in trees]

    first = played({"500": 0.3})
    assert first.exit_code == 1, first.output
    assert min(missing()) > 0
    models = [(run / f"round-{n}" / "checkpoint" / "model.safetensors") for n in (1, 2)]
    before = [path.read_bytes() for path in models]
    command = f"To grow their trees after all: whorl run {file} --retry"
    assert first.stderr.count(command) == 2
    again = played({}, "--retry")
    assert again.exit_code == 0, again.output
    assert missing() == [0, 0]
    assert [path.read_bytes() for path in models] == before
    assert played({}).exit_code == 0


def test_a_round_whose_searches_failed_is_not_learned_from(
    whorl: Whorl,
    rig_server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same command asks again for what failed, and only then learns from it."""
    monkeypatch.setattr("whorl.engines.server.transport._TRIES", 1)
    monkeypatch.setattr("whorl.engines.server.transport._PAUSE", 0.01)
    write_problems(tmp_path / "problems.jsonl", SUMS)
    file, run = tmp_path / "run.toml", tmp_path / "run"

    def played(faults: dict[str, float], *more: str) -> Result:
        url = rig_server(tokenizer=str(POLICY), faults=faults, seed=6)
        file.write_text(
            f'run = "{run}"\nproblems = "{tmp_path / "problems.jsonl"}"\nbase = "{POLICY}"\n'
            'train.epochs = 1\nrecipe.name = "rft"\nrecipe.samples = 2\n'
            f'engines.policy = "server:{url}?tokenizer={POLICY}&model=rig"\n'
        )
        monkeypatch.setattr("sys.argv", ["whorl", "run", str(file), *more])
        return whorl("run", file, *more)

    hurt = played({"500": 0.4})
    assert hurt.exit_code == 1, hurt.output
    failed = len((run / "round-1" / "failures.jsonl").read_text().splitlines())
    assert 0 < failed < 6
    assert f"round-1 stops before training: {failed} of 6 searches are more than" in hurt.stderr
    assert not (run / "round-1" / "examples.jsonl").exists()
    told = played({"500": 0.4}, "--set", "may_fail=1")
    assert told.exit_code in (0, 1), told.stderr
    assert (run / "round-1" / "checkpoint").exists()
    shutil.rmtree(run)
    assert played({"500": 0.4}).exit_code == 1
    mended = played({})
    assert mended.exit_code == 0, mended.output
    assert len((run / "round-1" / "trees.jsonl").read_text().splitlines()) == 6
    assert played({"500": 0.4}, "--set", "may_fail=2").exit_code == 2

"""The user's own defaults of options: they hold where they fit, and are in nobody's way."""

import json
from pathlib import Path

import pytest

from whorl.models import POLICY


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_options_that_may_be_repeated(
    whorl, easy: Path, held: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grow = ("grow", "--recipe", "rft", "--problems", easy, "--policy", f"local:{POLICY}")
    plan = (*grow, "--run", "run", "--dry-run")

    def planned(*more: str) -> str:
        done = whorl(*plan, *more)
        assert done.exit_code == 0, done.output
        return str(done.stdout)

    monkeypatch.setenv("WHORL_SET", "samples=2")
    assert "samples = 2 " in planned()
    monkeypatch.setenv("WHORL_SET", "samples=2\nsampling.top_p=0.5\n")
    said = planned("--set", "sampling.solution_tokens=99")
    for line in ("samples = 2", "top_p = 0.5", "solution_tokens = 99"):
        assert line in said, "each line one, and one more on the command line"
    monkeypatch.delenv("WHORL_SET")
    Path("whorl.toml").write_text('report_to = "none-such"\n[grow]\nset = "samples=3"\n')
    refused = whorl(*plan)
    assert refused.exit_code == 2 and "none-such" in refused.stderr
    assert "iterable" not in refused.stderr
    Path("whorl.toml").write_text('against = ["a.jsonl", "b.jsonl"]\n')
    assert planned(), "`whorl problems` takes several of them, and `whorl evaluate` one"
    Path("whorl.toml").write_text('[grow]\npolicy = ["a", "b"]\n')
    refused = whorl(*plan)
    assert "whorl.toml: policy takes one value, not the list ['a', 'b']" in refused.stderr
    Path("whorl.toml").write_text('[grow]\nset = "samples=3"\n')
    assert "samples = 3 " in planned()
    Path("whorl.toml").unlink()
    file = Path("own.toml")
    file.write_text(f'set = "evaluate.n=3"\nproblems = "{easy}"\ntest = "{held}"\n')
    compare = ("compare", file, "--policy", f"local:{POLICY}", "--tokens", 1000, "--recipes", "rft")
    assert "3 attempts at each" in whorl(*compare, "--dry-run").stdout


def test_defaults_that_do_not_fit_a_preset_are_not_taken_for_options(whorl, easy: Path) -> None:
    Path("whorl.toml").write_text(f'policy = "policy"\nproblems = "{easy}"\njobs = 2\n')
    planned = whorl("compare", "--preset", "smoke", "--run", "run", "--dry-run")
    assert planned.exit_code == 0, planned.output
    assert "growing: 12,000 tokens" in planned.stdout
    for more in (("--policy", "policy"), ("own.toml",)):
        Path("own.toml").write_text(f'policy = "policy"\ntest = "{easy}"\n')
        refused = whorl("compare", *more, "--preset", "smoke", "--run", "run")
        assert refused.exit_code == 2
        assert "a preset has its own models and problems" in refused.stderr


@pytest.mark.parametrize("default", ["model", "problems", "critic"])
def test_a_demo_takes_no_default_for_an_option(
    whorl, monkeypatch: pytest.MonkeyPatch, default: str
) -> None:
    played: list[str] = []

    def play(*_: object, **__: object) -> None:
        played.append("demo")
        raise KeyboardInterrupt

    monkeypatch.setattr("whorl.compare.demo.play_demo", play)
    Path("whorl.toml").write_text(f'{default} = "policy"\n')
    assert whorl("demo", "--smoke", "--run", "run").exit_code == 130
    assert played == ["demo"]
    refused = whorl("demo", "--smoke", f"--{default}", "policy", "--run", "run")
    assert refused.exit_code == 2 and " --model" in refused.stderr


def test_other_commands_refuse_what_was_given_alone(
    whorl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("whorl.toml").write_text('cluster = "auto"\n[problems]\nskip_bad = true\nmap = "a=b"\n')
    done = whorl("problems", "-n", 2, "--out", "p.jsonl", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["wrote"] == {"p.jsonl": "2 problems of the split pool"}
    refused = whorl("problems", "--skip-bad", "--out", "p.jsonl")
    assert "--map, --skip-bad and --at are for a file" in refused.stderr
    monkeypatch.setenv("WHORL_REPORT_TO", "tensorboard")
    shard = ("evaluate", "--model", f"local:{POLICY}", "--problems", "p.jsonl", "--shard", "1/2")
    tried = whorl(*shard, "--out", "o.jsonl", "--max-tokens", 20, "--processes", 0)
    assert tried.exit_code == 0, tried.output
    refused = whorl(*shard, "--out", "o.jsonl", "--cluster", "auto")
    assert "--cluster divides the problems itself; leave out --shard" in refused.stderr
    refused = whorl(*shard, "--out", "o.jsonl", "--report-to", "tensorboard")
    assert "a shard has no figures" in refused.stderr


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("[grow]\nset = [1]", "--set needs KEY=VALUE, for example seed=1, not '1'"),
        ("[grow]\nlimit = true", "whorl.toml: limit takes a value and is no switch, so not true"),
        ("policy = false", "whorl.toml: policy takes a value and is no switch, so not false"),
        (
            "[grow.set]\nsampling.top_p = 0.5",
            'set takes a list and no table, e.g. set = ["sampling.top_p=0.5"]',
        ),
        ("[limit]\nn = 1", "whorl.toml: limit takes one value and no table"),
        ("[grow]\nset = [{day = 2020-01-01}]", "--set needs KEY=VALUE"),
    ],
)
def test_values_of_another_kind_are_one_line(whorl, said: str, why: str, easy: Path) -> None:
    Path("whorl.toml").write_text(said)
    grow = ("grow", "--recipe", "rft", "--problems", easy, "--policy", POLICY, "--run", "run")
    refused = whorl(*grow, "--set", "samples=2", "--dry-run")
    assert refused.exit_code == 2 and why in refused.stderr, refused.output
    assert len(refused.stderr.splitlines()) == 1


def test_a_file_of_options_is_held_to_the_same(whorl) -> None:
    file = Path("own.toml")
    for said, why in (
        ("[set]\nrft.train.lr = 1e-4", 'takes a list and no table, e.g. set = ["rft.train.lr='),
        ("tokens = true", "own.toml: tokens takes a value and is no switch, so not true"),
    ):
        file.write_text(said)
        refused = whorl("compare", file, "--preset", "smoke", "--dry-run")
        assert refused.exit_code == 2 and why in refused.stderr, refused.output
    file.write_text("dry_run = true")
    assert whorl("compare", file, "--preset", "smoke").exit_code == 0, "which is a switch"

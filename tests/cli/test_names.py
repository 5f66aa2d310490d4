"""One way to name a model, in every command, and what is said before anything is asked."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.test_trouble import told

from whorl.chat import Chat
from whorl.models import POLICY


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def example(tmp_path: Path) -> Path:
    row = {
        "prompt": [{"role": "user", "content": "1+1?"}],
        "completion": [{"role": "assistant", "content": "It is 2."}],
    }
    path = tmp_path / "examples.jsonl"
    path.write_text(json.dumps(row) + "\n")
    return path


@pytest.mark.parametrize("name", ["policy", "local:policy", str(POLICY), f"local:{POLICY}"])
def test_a_model_has_the_same_names_in_every_command(
    whorl, tmp_path: Path, held: Path, example: Path, name: str
) -> None:
    out = tmp_path / "scores.jsonl"
    result = whorl(
        *("evaluate", "--model", name, "--problems", held, "--out", out),
        *("--max-tokens", 20, "--processes", 0),
    )
    assert result.exit_code == 0, result.output
    setup = json.loads((tmp_path / "scores.setup.json").read_text())
    assert setup["model"].startswith("local:policy ")
    trained = tmp_path / "trained"
    settings = ("--examples", example, "--out", trained, "--set", "epochs=1")
    assert whorl("train", "--model", name, *settings).exit_code == 0
    assert Chat.load(trained).end == Chat.load(POLICY).end
    assert whorl("probe", name).exit_code == 0


def test_a_base_model_is_trained_as_it_is_measured(
    whorl, tmp_path: Path, held: Path, example: Path
) -> None:
    base = tmp_path / "base"
    shutil.copytree(POLICY, base, ignore=shutil.ignore_patterns("chat_template.jinja"))
    train = ("train", "--examples", example, "--set", "epochs=1")
    assert "has no chat template" in told(whorl(*train, "--model", base, "--out", tmp_path / "x"))
    assert "has no chat template" in told(whorl("probe", base))
    trained = tmp_path / "trained"
    assert whorl(*train, "--model", f"{base}?template=alpaca", "--out", trained).exit_code == 0
    assert Chat.load(trained).stops == ("\n### Instruction:",)
    out = tmp_path / "scores.jsonl"
    measure = ("--problems", held, "--out", out, "--max-tokens", 10, "--processes", 0)
    assert whorl("evaluate", "--model", trained, *measure).exit_code == 0


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Templates have one second."""
    monkeypatch.setattr("whorl.chat.renderer.SECONDS", 1)


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ raise_exception('no turns here') }}", "takes no conversation: no turns here"),
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "takes"),
        ("{% if %}", "takes no conversation"),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_a_template_that_refuses_is_one_line_and_nothing_is_asked(
    whorl, tmp_path: Path, held: Path, example: Path, template: str, why: str
) -> None:
    model = tmp_path / "model"
    shutil.copytree(POLICY, model)
    (model / "chat_template.jinja").write_text(template)
    out, run = tmp_path / "scores.jsonl", tmp_path / "run"
    for words in (
        ("evaluate", "--model", model, "--problems", held, "--out", out),
        ("train", "--model", model, "--examples", example, "--out", tmp_path / "out"),
        ("probe", model),
        ("grow", "--recipe", "rft", "--problems", held, "--policy", model, "--run", run),
    ):
        assert why in told(whorl(*words))
    assert not (run.exists() or (tmp_path / "out").exists() or list(tmp_path.glob("scores*db")))


def test_a_system_turn_that_is_refused_goes_before_the_users_words(whorl, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(POLICY, model)
    own = (POLICY / "chat_template.jinja").read_text()
    refuses = "{%- if messages[0].role == 'system' %}{{ raise_exception('none') }}{% endif %}\n"
    (model / "chat_template.jinja").write_text(refuses + own)
    assert whorl("probe", model).exit_code == 0


def test_nobody_is_asked_whether_code_may_run(tmp_path: Path) -> None:
    model, ran = tmp_path / "model", tmp_path / "ran"
    shutil.copytree(POLICY, model)
    (model / "modeling_own.py").write_text(f"open({str(ran)!r}, 'w')\n")
    config = json.loads((model / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "modeling_own.OwnConfig"}}
    (model / "config.json").write_text(json.dumps(config))
    done = subprocess.run(
        [sys.executable, "-m", "whorl", "probe", str(model)],
        input="y\n" * 9,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and not ran.exists()
    opening, trouble = done.stderr.splitlines()
    assert opening.startswith("opening ") and "needs code of its own" in trouble


def test_fetch_makes_a_folder(whorl, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    assert whorl("fetch", "policy?template=plain", "--out", out).exit_code == 0
    assert Chat.load(out).stops == ("\nQuestion:",)
    assert "exists; choose another" in told(whorl("fetch", "policy", "--out", out))
    assert "nothing is to be downloaded" in whorl("fetch", "policy", "--dry-run").stdout
    assert whorl("fetch", "policy").stdout.strip() == str(POLICY)
    missing = told(whorl("fetch", "nobody/nothing", "--dry-run"))
    assert "the hub is out of reach" in missing


def test_a_dry_run_says_what_is_to_be_downloaded(
    whorl, tmp_path: Path, held: Path, example: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whorl.engines import model
    from whorl.engines.hub import Missing

    monkeypatch.setattr(model, "missing", lambda _: Missing(7, 3_100_000_000))
    file = tmp_path / "run.toml"
    file.write_text(
        f'run = "{tmp_path / "run"}"\nproblems = "{held}"\nrecipe.name = "rft"\n'
        'engines.policy = "local:me/large@v2"\n'
    )
    grow = ("grow", "--recipe", "rft", "--problems", held, "--run", tmp_path / "run")
    for words in (("run", file), (*grow, "--policy", "me/large@v2")):
        result = whorl(*words, "--dry-run")
        assert result.exit_code == 0, result.output
        said = result.stdout.splitlines()
        assert "me/large@v2 is to be downloaded: 7 files, 3.10 GB" in said
        assert said[-1] == "no engine was opened; nothing was written"
    assert not (tmp_path / "run").exists()
    model_, out = ("--model", "me/large@v2"), ("--out", tmp_path / "out")
    for words in (("evaluate", "--problems", held), ("train", "--examples", example)):
        result = whorl(*words, *model_, *out, "--dry-run")
        assert result.exit_code == 0, result.output
        assert "me/large@v2 is to be downloaded: 7 files, 3.10 GB; " in result.stdout

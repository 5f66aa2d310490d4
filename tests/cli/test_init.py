"""Run files that `whorl init` writes say what the preset of their recipe says."""

from dataclasses import fields
from pathlib import Path

import pytest

from whorl.loop.runfile import read_run
from whorl.recipes import RECIPES
from whorl.settings.presets import presets_of

CHOICES = [(name, preset) for name, kind in RECIPES.items() for preset in presets_of(kind)]
MODELS = ("--policy", "policy", "--teacher", "teacher", "--small", "small", "--prm", "prm:prm")


@pytest.mark.parametrize(("name", "which"), CHOICES)
def test_it_is_the_whole_preset(whorl, easy: Path, tmp_path: Path, name: str, which: str) -> None:
    out = tmp_path / "run.toml"
    chosen = ("--recipe", name, "--set", f"preset={which}", "--out", out)
    made = whorl("init", "--problems", easy, *MODELS, *chosen)
    assert made.exit_code == 0, made.output
    preset, run = presets_of(RECIPES[name])[which], read_run(out)
    for field in fields(preset):
        assert getattr(run, field.name) == getattr(preset, field.name)


def test_the_options_change_it_alone(whorl, easy: Path, tmp_path: Path) -> None:
    out = tmp_path / "run.toml"
    changes = ("--recipe", "marge", "--rounds", 3, "--set", "pool=4")
    assert whorl("init", "--problems", easy, *MODELS, *changes, "--out", out).exit_code == 0
    paper, run = presets_of(RECIPES["marge"])["paper"], read_run(out)
    assert (run.rounds, run.recipe.pool) == (3, 4)  # type: ignore[attr-defined]
    assert (run.train, run.patience) == (paper.train, paper.patience)


def test_a_folder_is_written_down_as_it_was_said(whorl, easy: Path, tmp_path: Path) -> None:
    out = tmp_path / "run.toml"
    said = ("--recipe", "rft", "--run", ".", "--out", out)
    assert whorl("init", "--problems", easy, *MODELS, *said).exit_code == 0
    assert 'run = "."\n' in out.read_text()


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("train.lr=1e-4", "change train in run.toml once it is there"),
        ("preset=nope", "no preset 'nope'; there are paper, "),
        ("preset=labtop", "did you mean laptop?"),
    ],
)
def test_what_it_cannot_change_is_told_in_a_line(
    whorl, easy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, answer: str
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = whorl("init", "--problems", easy, *MODELS, "--set", said)
    assert refused.exit_code == 2 and answer in refused.stderr
    assert not Path("run.toml").exists()

"""A recipe that lies outside the package, in one file: every command takes it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from whorl.data.forest import read_trees
from whorl.models import POLICY

EXAMPLES = Path(__file__).parents[2] / "examples"
MODEL = f"local:{POLICY}"
SMALL = {
    "samples": 6,
    "sampling.solution_tokens": 120,
    "sampling.steps.min_chars": 0,
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a stranger's file."""
    folder = tmp_path_factory.mktemp("stranger")
    shutil.copy(EXAMPLES / "rloo.py", folder / "my_rloo.py")
    return folder


@pytest.fixture(scope="module")
def played(whorl: Callable[..., Result], home: Path, easy: Path, held: Path) -> Result:
    """What `whorl run` said of two rounds by the stranger's recipe, in `home`."""
    (home / "run.toml").write_text(
        f'run = "run"\nproblems = "{easy}"\ntest = "{held}"\nlimit = 8\nrounds = 2\n'
        f'engines.policy = "{MODEL}"\nengines.processes = 0\nevaluate.max_tokens = 120\n'
        'recipe.name = "my_rloo:Rloo"\ntrain.epochs = 1\ntrain.lr = 1e-4\n'
        + "".join(f"recipe.{key} = {value}\n" for key, value in SMALL.items())
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        return whorl("run", "run.toml")


@pytest.fixture
def run(home: Path, played: Result, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run folder, the current folder being the stranger's."""
    monkeypatch.chdir(home)
    return home / "run"


def test_it_plays_the_whole_loop_twice(played: Result, run: Path) -> None:
    assert played.exit_code == 0, played.output
    rounds = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["trees"] for line in rounds] == [8, 8]
    assert all(line["examples"] and line["negative"] > 0 for line in rounds)
    assert rounds[1]["model"].endswith("round-2/checkpoint")
    assert "whorl: my_rloo:Rloo" in (run / "report.html").read_text()
    manifest = json.loads((run / "round-2" / "manifest.json").read_text())
    assert manifest["settings"]["recipe"]["name"] == "my_rloo:Rloo"
    (first, *_) = read_trees(run / "round-1" / "trees.jsonl")
    assert first.provenance["recipe"] == "my_rloo:Rloo"


def test_the_folder_finds_it_again(whorl: Callable[..., Result], run: Path) -> None:
    one, other = run / "round-1", run / "again.jsonl"
    again = whorl("harvest", one, "--out", other)
    assert again.exit_code == 0, again.output
    assert other.read_bytes() == (one / "examples.jsonl").read_bytes()
    changed = whorl("harvest", one, "--out", other, "--set", "kl=0.5")
    assert "harvested with kl = 0.5, grown with 0.04" in changed.stderr
    assert whorl("run", "run.toml", "--retry").exit_code == 0
    refused = whorl("run", "run.toml", "--set", "recipe.samples=3")
    assert refused.exit_code == 2
    assert "recipe.samples: 3 here, 6 in the run folder" in refused.stderr
    planned = whorl("run", "run.toml", "--dry-run")
    assert 'recipe.name = "my_rloo:Rloo"' in planned.stdout
    assert "6 samples at most" not in planned.stdout and "48 samples at most" in planned.stdout


def test_what_changed_since_is_told(
    whorl: Callable[..., Result], run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file lost one setting and gained another."""
    shutil.copytree(run, tmp_path / "run")
    text = (EXAMPLES / "rloo.py").read_text()
    (tmp_path / "my_rloo.py").write_text(
        text.replace("kl: float", "penalty: float").replace("self.kl", "self.penalty")
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "my_rloo")
    refused = whorl("harvest", "run/round-1")
    assert refused.exit_code == 2 and len(refused.stderr.splitlines()) == 1
    assert "Rloo has other settings now than when it grew run/round-1" in refused.stderr
    assert "unknown setting kl" in refused.stderr
    taken = whorl(
        "harvest",
        "run/round-1",
        "--recipe",
        "my_rloo:Rloo",
        "--set",
        "samples=6",
        "--out",
        "other.jsonl",
    )
    assert taken.exit_code == 0, taken.output
    assert "harvested with penalty = 0.04, grown with not set" in taken.stderr
    reported = whorl("report", "run")
    assert reported.exit_code == 0, reported.output


def test_without_the_file_what_can_be_done_is_done(
    whorl: Callable[..., Result], run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(run, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "my_rloo")
    trees = tmp_path / "run" / "round-1"
    assert len(whorl("show", trees).stdout.partition("\n\n")[2].splitlines()) == 8
    refused = whorl("harvest", trees)
    assert refused.exit_code == 2 and len(refused.stderr.splitlines()) == 1
    assert "was grown by my_rloo:Rloo: my_rloo cannot be imported" in refused.stderr
    other = whorl("harvest", trees, "--recipe", "rft", "--out", tmp_path / "other.jsonl")
    assert other.exit_code == 0, other.output
    labelled = whorl("export", "--format", "prm", trees, "--out", tmp_path / "prm.jsonl")
    assert labelled.exit_code == 0, labelled.output
    reported = whorl("report", tmp_path / "run")
    assert reported.exit_code == 0, reported.output
    assert "the policy went from" in (tmp_path / "run" / "report.html").read_text()


def test_one_grows_trees_by_the_path_of_its_file(
    whorl: Callable[..., Result], easy: Path, tmp_path: Path
) -> None:
    name = f"{EXAMPLES / 'best_of_n.py'}:BestOfN"
    grow = ("grow", "--recipe", name, "--problems", easy, "--run", tmp_path / "run", "--limit", 2)
    grow = (*grow, "--processes", 0)
    refused = whorl(*grow, "--policy", MODEL)
    assert refused.exit_code == 2
    assert "best_of_n.py:BestOfN asks a prm, and none is named; give --prm MODEL, or" in (
        refused.stderr
    )
    grown = whorl(
        *(*grow, "--policy", MODEL, "--prm", f"prm:{POLICY.parent / 'prm'}"),
        *("--set", "samples=3", "--set", "sampling.solution_tokens=120"),
    )
    assert grown.exit_code == 0, grown.output
    harvested = whorl("harvest", tmp_path / "run", "--set", "least=0")
    assert harvested.exit_code == 0, harvested.output
    assert "search: samples: " in harvested.stderr
    planned = whorl(*grow, "--policy", MODEL, "--prm", f"prm:{POLICY.parent / 'prm'}", "--dry-run")
    assert "least=0.5" in planned.stdout

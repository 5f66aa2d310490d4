"""Stage by stage through the command line, with the shipped policy."""

import json
from pathlib import Path

import pytest

from whorl import Sampling, grow
from whorl.ask import Prompt
from whorl.credit import first_right
from whorl.data.examples import read_examples, write_examples
from whorl.data.forest import read_trees
from whorl.example import Weighted
from whorl.loop.harvest import Harvested
from whorl.loop.runfile import read_run
from whorl.models import POLICY
from whorl.recipes import Rft

MODEL = f"local:{POLICY}"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run(whorl, easy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with the trees of the easy problems."""
    folder = tmp_path_factory.mktemp("flow") / "run"
    grown = whorl(
        *("grow", "--recipe", "rft", "--problems", easy, "--policy", MODEL, "--run", folder),
        *("--set", "samples=4", "--set", "sampling.solution_tokens=120", "--processes", 0),
    )
    assert grown.exit_code == 0, grown.output
    assert f"wrote {folder / 'trees.jsonl'}: 8 trees" in grown.stderr
    assert "grow: 8/8 done, " in grown.stderr and "tokens, " in grown.stderr
    *_, solved, following = grown.stderr.splitlines()
    right = {tree.problem.id for tree in read_trees(folder / "trees.jsonl") if first_right(tree)}
    assert solved == f"found a right solution to {len(right)} of 8 problems"
    assert following.startswith(f"next: whorl harvest {folder}, or whorl show {folder}, or ")
    return folder


def test_trees_are_shown(whorl, run: Path) -> None:
    summary, _, listed = whorl("show", run).stdout.partition("\n\n")
    assert summary.startswith("8 trees of 8 problems: ") and " tokens (policy " in summary
    assert len(listed.splitlines()) == 8
    solved = int(summary.split(": ")[1].split()[0])
    kept = whorl("show", run, "--solved").stdout.partition("\n\n")[2]
    assert len(kept.splitlines()) == solved > 0
    assert all(": solved" in line for line in kept.splitlines())
    problem = listed.split(":")[0]
    drawn = whorl("show", run, problem, "--notes").stdout
    assert "[answer: " in drawn and "visits, mean" in drawn
    missing = whorl("show", run, "none")
    assert missing.exit_code == 2 and "holds no tree of problem 'none'" in missing.stderr


def test_plans_of_a_training_and_an_evaluation_write_nothing(
    whorl, run: Path, held: Path, tmp_path: Path
) -> None:
    examples = tmp_path / "examples.jsonl"
    assert whorl("harvest", run, "--out", examples).exit_code == 0
    before = sorted(tmp_path.rglob("*"))
    train = ("train", "--model", POLICY, "--examples", examples, "--out", tmp_path / "tuned")
    planned = whorl(*train, "--set", "epochs=1", "--dry-run").stdout.splitlines()
    assert planned[0] == "epochs = 1  # default 3"
    assert planned[-2:] == [
        "training: 1 times through them, 1 optimizer steps at most",
        "nothing was written",
    ]
    evaluate = ("evaluate", "--model", MODEL, "--problems", held, "--out", tmp_path / "e.jsonl")
    planned = whorl(*evaluate, "--max-tokens", 120, "--processes", 0, "--dry-run").stdout
    assert planned.splitlines()[-2:] == [
        "evaluation: 8 problems, 1 attempt at each, 960 tokens at most",
        "the model opens; nothing was written",
    ]
    assert sorted(tmp_path.rglob("*")) == before


def test_harvest_train_evaluate_report(
    whorl, run: Path, easy: Path, held: Path, tmp_path: Path
) -> None:
    harvested = whorl("harvest", run)
    assert harvested.exit_code == 0, harvested.output
    examples = list(read_examples(run / "examples.jsonl"))
    assert f"wrote {run / 'examples.jsonl'}: {len(examples)} examples of 8 trees" in (
        harvested.stderr
    )
    counts = Harvested.read(run)
    assert counts is not None and (counts.trees, counts.examples) == (8, len(examples))
    fewer = tmp_path / "fewer.jsonl"
    assert whorl("harvest", run, "--set", "keep=1", "--out", fewer).exit_code == 0
    assert 0 < len(list(read_examples(fewer))) <= len(examples)
    assert Harvested.read(run) == counts

    tuned = tmp_path / "tuned"
    trained = whorl(
        *("train", "--model", POLICY, "--examples", fewer, "--out", tuned),
        *("--set", "epochs=1", "--set", "batch=8"),
    )
    assert trained.exit_code == 0, trained.output
    assert f"wrote {tuned}: model after 1 steps" in trained.stderr

    before, after = tmp_path / "before.jsonl", tmp_path / "after.jsonl"
    common = ("--max-tokens", "120", "--processes", 0)
    evaluate = ("evaluate", *common, "--problems", held, "--out")
    assert whorl(*evaluate, before, "--model", MODEL).exit_code == 0
    compared = whorl(*evaluate, after, "--model", f"local:{tuned}", "--against", before, "--json")
    assert compared.exit_code == 0, compared.output
    assert "prompt    whorl: system 'Solve" in compared.stdout
    assert "decoding  1 sample, greedy, top_p 1.0, at most 120 tokens, seed 0" in compared.stdout
    assert "training  none of the questions" in compared.stdout
    assert "pass@1" in compared.stdout and "p = " in compared.stdout
    found = json.loads(compared.stdout.splitlines()[-1])
    assert found["problems"] == found["against"]["problems"] == 8

    mine = ("evaluate", *common, "--problems", easy, "--model", f"local:{tuned}")
    refused = whorl(*mine, "--out", tmp_path / "seen.jsonl")
    taught = {example.prompt.user for example in read_examples(fewer)}
    assert refused.exit_code == 2 and not list(tmp_path.glob("seen*"))
    assert f"was trained on {len(taught)} of the questions in {easy}" in refused.stderr
    allowed = whorl(*mine, "--out", tmp_path / "seen.jsonl", "--allow-seen")
    assert allowed.exit_code == 0, allowed.output
    assert f"SEEN: it was trained on {len(taught)} of the questions" in allowed.stdout
    said = json.loads((tmp_path / "seen.setup.json").read_text())
    assert said["about"]["trained_on"] == len(taught)
    told = ("evaluate", *common, "--problems", easy, "--model", MODEL, "--trained-on", run)
    refused = whorl(*told, "--out", tmp_path / "told.jsonl")
    assert refused.exit_code == 2 and "was trained on 8 of the questions" in refused.stderr
    assert whorl(*told, "--out", tmp_path / "told.jsonl", "--allow-seen").exit_code == 0
    said = json.loads((tmp_path / "told.setup.json").read_text())
    assert said["about"]["trained_on"] == 8, "which `whorl table` marks"

    page = tmp_path / "page.html"
    reported = whorl("report", run, "--out", page)
    assert reported.exit_code == 0, reported.output
    assert page.read_text().startswith("<!doctype html>")
    assert f"8 trees taught {len(examples)} examples." in page.read_text()


def test_the_same_command_again_asks_nothing(whorl, run: Path, easy: Path) -> None:
    trees = (run / "trees.jsonl").read_bytes()
    again = whorl(
        *("grow", "--recipe", "rft", "--problems", easy, "--policy", MODEL, "--run", run),
        *("--set", "samples=4", "--set", "sampling.solution_tokens=120", "--processes", 0),
    )
    assert again.exit_code == 0, again.output
    assert "8/8 done, 8 of them before, 0 tokens" in again.stderr
    assert (run / "trees.jsonl").read_bytes() == trees


def test_a_run_file_plays_the_whole_loop(whorl, easy: Path, held: Path, tmp_path: Path) -> None:
    file, run = tmp_path / "run.toml", tmp_path / "run"
    file.write_text(
        f'run = "{run}"\nproblems = "{easy}"\ntest = "{held}"\nrecipe.name = "rft"\n'
        f'engines.policy = "{MODEL}"\nengines.processes = 0\nevaluate.max_tokens = 120\n'
    )
    changes = ("--set", "recipe.samples=2", "--set", "recipe.sampling.solution_tokens=120")
    planned = whorl("run", file, *changes, "--dry-run")
    assert planned.exit_code == 0 and "recipe.samples = 2" in planned.stdout
    assert not run.exists()
    refused = whorl("run", file, *changes, "--set", f"test={easy}")
    assert refused.exit_code == 2 and "8 problems are both in" in refused.stderr
    assert not run.exists()
    played = whorl("run", file, *changes, "--set", "train.epochs=1", "--set", "limit=3")
    assert played.exit_code == 0, played.output
    assert f"wrote {run / 'report.html'}" in played.stderr
    (line,) = (run / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line)["trees"] == 3
    table = played.stdout.splitlines()
    assert table[0].split()[:2] == ["round", "pass@1"]
    assert [row.split()[0] for row in table[1:3]] == ["0", "1"]
    assert f"{json.loads(line)['generated_tokens']:,}" in played.stdout
    other = whorl("run", file, *changes, "--set", "train.epochs=2")
    assert other.exit_code == 2 and "train.epochs: 2 here, 1 in the run folder" in other.stderr


def test_a_script_and_the_command_go_on_with_each_others_folder(
    whorl, easy: Path, tmp_path: Path
) -> None:
    """The same settings give the same manifest, and so the same trees."""
    run = tmp_path / "run"
    recipe = Rft(Sampling(temperature=0.7, solution_tokens=60), samples=2)
    assert grow(easy, recipe, {"policy": MODEL}, run, processes=0).trees == 8
    trees = (run / "trees.jsonl").read_bytes()
    again = whorl(
        *("grow", "--recipe", "rft", "--problems", easy, "--policy", MODEL, "--run", run),
        *("--set", "samples=2", "--set", "sampling.solution_tokens=60", "--processes", 0),
    )
    assert again.exit_code == 0, again.output
    assert "8/8 done, 8 of them before, 0 tokens" in again.stderr
    assert (run / "trees.jsonl").read_bytes() == trees


@pytest.mark.parametrize("file", sorted((ROOT / "runs").glob("*-tiny.toml")), ids=lambda f: f.stem)
def test_the_run_files_that_come_along_can_be_played(
    whorl, easy: Path, held: Path, monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    monkeypatch.chdir(ROOT)
    here = (f"problems={easy}", f"test={held}", "engines.processes=0", "holdout=0.5")
    planned = whorl("run", file, *(p for change in here for p in ("--set", change)), "--dry-run")
    assert planned.exit_code == 0, planned.output
    lines = planned.stdout.splitlines()
    assert f'recipe.name = "{file.stem.removesuffix("-tiny")}"' in lines
    assert "the engines open; nothing was written" in lines
    if any(line.startswith("patience = 2 ") for line in lines):
        assert any(line.startswith("problems: ") and "more held out" in line for line in lines)
    assert not (ROOT / "runs" / file.stem).exists()


def test_a_run_file_says_how_to_train(whorl, tmp_path: Path) -> None:
    """The objective is the recipe's, the settings are [train]'s, and --set has the last word."""
    examples = tmp_path / "examples.jsonl"
    write_examples(
        examples, [Weighted(Prompt("", f"{n}+1?"), str(n + 1), (-1.0) ** n) for n in range(6)]
    )
    run_file = ROOT / "runs" / "process-tiny.toml"
    out = tmp_path / "out"
    told = whorl(
        *("train", "--run-file", run_file, "--model", POLICY, "--examples", examples),
        *("--out", out, "--set", "epochs=1"),
    )
    assert told.exit_code == 0, told.output  # negative weights: without the recipe's kl an error
    said = json.loads((out / "training.json").read_text())["settings"]
    run = read_run(run_file)
    assert (said["epochs"], said["lr"], said["batch"]) == (1, run.train.lr, run.train.batch)
    assert said["kl"] == run.recipe.objective.kl


def test_problems_are_made_up(whorl, tmp_path: Path) -> None:
    out = tmp_path / "p.jsonl"
    made = whorl("problems", "-n", "5", "--split", "test", "--level", "2", "--out", out)
    assert made.exit_code == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["level"] for line in lines] == ["2"] * 5
    assert f"wrote {out}: 5 problems of the split test" in made.stderr
    assert whorl("problems", "--level", "9", "--out", out).exit_code == 2

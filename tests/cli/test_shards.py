"""Commands with --shard, and `whorl merge`: what one command would have made."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from whorl.loop.exam_shards import home_of, merge_exam
from whorl.loop.shards import parts_of
from whorl.models import POLICY

Whorl = Callable[..., Result]
GREEDY = ("--set", "samples=2", "--set", "sampling.solution_tokens=24")


@pytest.fixture
def grow(whorl: Whorl, easy: Path) -> Whorl:
    words = ("--recipe", "rft", "--problems", easy, "--policy", f"local:{POLICY}", *GREEDY)
    return lambda run, *more: whorl("grow", *words, "--processes", 0, "--run", run, *more)


def test_growing_in_shards_is_growing(whorl: Whorl, grow: Whorl, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert grow(tmp_path / "whole").exit_code == 0
    first = grow(run, "--shard", "1/2")
    assert first.exit_code == 0, first.output
    assert f"whorl merge {run}" in first.stderr
    early = grow(run)
    assert early.exit_code == 2 and f"whorl merge {run}, and the same command" in early.stderr
    merged = whorl("merge", run)
    assert merged.exit_code == 1 and "4 searches have no tree yet" in merged.stderr
    assert grow(run, "--shard", "2/3").exit_code == 0
    assert whorl("merge", run).exit_code == 1
    assert grow(run).exit_code == 0
    assert (run / "trees.jsonl").read_bytes() == (tmp_path / "whole/trees.jsonl").read_bytes()
    assert "no shards" in whorl("merge", run).stderr


def test_a_run_grows_its_round_in_shards(
    whorl: Whorl, easy: Path, held: Path, tmp_path: Path
) -> None:
    file, run = tmp_path / "run.toml", tmp_path / "run"
    file.write_text(
        f'run = "{run}"\nproblems = "{easy}"\nrounds = 2\nrecipe.name = "rft"\n'
        f"recipe.samples = 2\nrecipe.sampling.solution_tokens = 60\ntrain.epochs = 1\n"
        f'engines.policy = "local:{POLICY}"\nengines.processes = 0\n'
    )
    for shard in ("1/2", "2/2"):
        done = whorl("run", file, "--shard", shard)
        assert done.exit_code == 0, done.output
        assert f"round 1 of 2, shard {shard}" in done.stderr
    assert "8 trees of 2 shards" in whorl("merge", run).stderr
    played = whorl("run", file, "--set", "rounds=1")
    assert played.exit_code == 0, played.output
    grown = json.loads((run / "round-1" / "grown.json").read_text())
    assert (grown["trees"], grown["tokens"]) == (8, 0)
    assert (run / "round-1" / "checkpoint").is_dir()
    second = whorl("run", file, "--shard", "1/2")
    assert second.exit_code == 0 and "round 2 of 2" in second.stderr, second.output
    refused = whorl("run", file)
    assert refused.exit_code == 2 and "round-2 has 1 shards" in refused.stderr


def test_evaluating_in_shards_is_evaluating(whorl: Whorl, held: Path, tmp_path: Path) -> None:
    def evaluate(out: Path, *more: object) -> Result:
        words = ("--problems", held, "--model", POLICY, "--max-tokens", 24, "--processes", 0)
        return whorl("evaluate", *words, "--out", out, *more)

    whole, out = tmp_path / "whole.jsonl", tmp_path / "scores.jsonl"
    assert evaluate(whole).exit_code == 0
    assert evaluate(out, "--shard", "2/2").exit_code == 0
    early = whorl("merge", out)
    assert early.exit_code == 1 and "4 problems are not attempted yet" in early.stderr
    refused = evaluate(out, "--shard", "1/2", "--json")
    assert refused.exit_code == 2 and "a shard has no figures" in refused.stderr
    refused = evaluate(out)
    assert refused.exit_code == 2 and "has shards, which are not merged" in refused.stderr
    assert evaluate(out, "--shard", "1/1").exit_code == 0
    merged = whorl("merge", out)
    assert merged.exit_code == 0, merged.output
    assert out.read_bytes() == whole.read_bytes()
    attempts = [each.with_name(f"{each.stem}.attempts.jsonl").read_bytes() for each in (out, whole)]
    assert attempts[0] == attempts[1]
    assert not (tmp_path / "scores.shards").exists()
    assert evaluate(out).exit_code == 0  # it is complete


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (("--shard", "3"), "a shard is written as 3/16"),
        (("--shard", "1/2", "--set", "budget.tokens=100"), "shards do not know what others spend"),
    ],
)
def test_what_shards_cannot_do_is_said(
    grow: Whorl, tmp_path: Path, more: tuple[str, ...], why: str
) -> None:
    done = grow(tmp_path / "run", *more)
    assert done.exit_code == 2 and why in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("renamed", [0, 1, 2])
def test_a_merge_of_scores_that_was_killed_while_it_removed_goes_on(
    whorl: Whorl, held: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renamed: int
) -> None:
    out = tmp_path / "scores.jsonl"
    words = ("--problems", held, "--model", POLICY, "--max-tokens", 8, "--processes", 0)
    for shard in ("1/2", "2/2"):
        assert whorl("evaluate", *words, "--out", out, "--shard", shard).exit_code == 0
    begun = []
    real = Path.rename

    def rename(path: Path, target: Path) -> Path:
        if path.name.endswith("-of-2"):
            if len(begun) == renamed:
                raise KeyboardInterrupt
            begun.append(path)
        return real(path, target)

    def rmtree(path: Path) -> None:
        (path / "share.json").unlink(missing_ok=True)  # some of it is gone
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(Path, "rename", rename)
        killed.setattr("whorl.loop.merge.shutil.rmtree", rmtree)
        with pytest.raises(KeyboardInterrupt):
            merge_exam(out)
    home = home_of(out)
    assert len(parts_of(home)) == 2 - renamed
    scores = out.read_bytes()
    again = whorl("merge", out)
    assert again.exit_code == 0, again.output
    assert out.read_bytes() == scores and "scores of 8 problems" in again.stderr
    assert not home.exists()
    assert "no shards" in whorl("merge", out).stderr

"""A damaged journal is one line, and with --repair the run ends as if nothing had been."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from whorl.data.problems import write_problems
from whorl.data.synthetic import problems
from whorl.engines.repair import damaged
from whorl.evaluate import Place
from whorl.models import POLICY
from whorl.problem import Problem

Whorl = Callable[..., Result]


@pytest.fixture
def grow(whorl: Whorl, easy: Path) -> Whorl:
    """Grows trees of two samples in a run folder."""
    words = ("--recipe", "rft", "--policy", f"local:{POLICY}", "--problems", easy)
    tokens = ("--set", "samples=2", "--set", "sampling.solution_tokens=40", "--processes", 0)
    return lambda run, *more: whorl("grow", *words, *tokens, "--run", run, *more)


def damage(journal: Path) -> None:
    """Change a bit of the first row."""
    content = journal.read_bytes()
    at = content.index(b"policy") + 20
    journal.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
    assert damaged(journal)


def refused(done: Result) -> None:
    """The damage is named in one line, which says what to do."""
    assert done.exit_code == 2, done.output
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "is damaged: row" in line and "--repair" in line


def repaired(done: Result, code: int = 0) -> None:
    assert done.exit_code == code, done.output
    assert "repaired" in done.stderr


def test_what_a_damaged_journal_has_lost_is_asked_again(grow: Whorl, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert grow(run).exit_code == 0
    before = (run / "trees.jsonl").read_bytes()
    (run / "trees.jsonl").unlink()
    damage(run / "journal.db")
    refused(grow(run))
    repaired(grow(run, "--repair"))
    assert (run / "trees.jsonl").read_bytes() == before


def test_a_shard_repairs_its_own_journal_and_those_that_serve_it(
    whorl: Whorl, grow: Whorl, tmp_path: Path
) -> None:
    run, shards = tmp_path / "run", tmp_path / "run" / "shards"
    assert grow(tmp_path / "whole").exit_code == 0
    assert grow(run, "--shard", "1/2").exit_code == 0
    damage(shards / "1-of-2" / "journal.db")
    refused(grow(run, "--shard", "1/2"))
    repaired(grow(run, "--shard", "1/2", "--repair"))
    damage(shards / "1-of-2" / "journal.db")
    refused(grow(run, "--shard", "1/3"))  # of another division
    repaired(grow(run, "--shard", "1/3", "--repair"))
    damage(shards / "1-of-3" / "journal.db")
    refused(whorl("merge", run))
    repaired(whorl("merge", run, "--repair"), 1)  # as some problems have no tree yet
    damage(run / "journal.db")
    refused(grow(run, "--shard", "1/1"))
    repaired(grow(run, "--shard", "1/1", "--repair"))
    assert whorl("merge", run).exit_code == 0
    assert (run / "trees.jsonl").read_bytes() == (tmp_path / "whole/trees.jsonl").read_bytes()


def test_a_shard_of_a_round_repairs_the_journals_that_serve_it(
    whorl: Whorl, easy: Path, tmp_path: Path
) -> None:
    file, run = tmp_path / "run.toml", tmp_path / "run"
    file.write_text(
        f'run = "{run}"\nproblems = "{easy}"\nrecipe.name = "rft"\nrecipe.samples = 2\n'
        f'recipe.sampling.solution_tokens = 40\nengines.policy = "local:{POLICY}"\n'
        "engines.processes = 0\n"
    )
    assert whorl("run", file, "--shard", "1/2").exit_code == 0
    for shard in ("1/2", "1/3"):
        damage(run / "round-1" / "shards" / "1-of-2" / "journal.db")
        refused(whorl("run", file, "--shard", shard))
        repaired(whorl("run", file, "--shard", shard, "--repair"))
    damage(run / "round-1" / "shards" / "1-of-2" / "journal.db")
    refused(whorl("merge", run))
    repaired(whorl("merge", run, "--repair"), 1)


def test_a_shard_of_an_evaluation_repairs_the_journals_that_serve_it(
    whorl: Whorl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, whole, asked = (tmp_path / f"{name}.jsonl" for name in ("scores", "whole", "asked"))
    long = Problem("long", "1+" * 3000 + "1", "3001")  # it fails, so that journals stay
    write_problems(asked, [long, *problems("test", 6, seed=0, levels=[1])])

    def evaluate(out: Path, *more: object) -> Result:
        words = ("--model", f"local:{POLICY}", "--problems", asked, "--max-tokens", 40)
        return whorl("evaluate", *words, "--processes", 0, "--out", out, *more)

    def killed(place: Place, scores: object) -> None:
        raise KeyboardInterrupt

    assert evaluate(whole).exit_code == 1
    with monkeypatch.context() as patch:
        patch.setattr(Place, "end", killed)
        assert evaluate(out, "--shard", "1/2").exit_code == 130
    first = tmp_path / "scores.shards" / "1-of-2" / "scores.journal.db"
    damage(first)
    refused(evaluate(out, "--shard", "1/2"))
    refused(evaluate(out, "--shard", "1/3"))  # of another division
    repaired(evaluate(out, "--shard", "1/3", "--repair"), 1)
    damage(first)
    repaired(evaluate(out, "--shard", "1/2", "--repair"), 1)
    assert evaluate(out, "--shard", "2/2").exit_code == 0
    damage(first)
    refused(whorl("merge", out))
    repaired(whorl("merge", out, "--repair"), 1)
    assert out.read_bytes() == whole.read_bytes()

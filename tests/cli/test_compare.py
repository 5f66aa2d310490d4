"""`whorl compare` refuses what cannot be compared, before it makes a folder."""

from pathlib import Path

import pytest

from whorl.models import POLICY


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name a --preset, or give --problems, --test, --policy and --tokens"),
        (("--preset", "huge"), "no preset 'huge'; there are smoke, small"),
        (("--preset", "smoke", "--recipes", "rft,simga"), "did you mean sigma?"),
        (("--preset", "smoke", "--policy", "local:x"), "a preset has its own models"),
        (("--preset", "smoke", "--set", "rft.recipe.smaples=2"), "did you mean samples?"),
        (("--preset", "smoke", "--set", "evaluate.m=2"), "unknown setting m"),
    ],
)
def test_mistakes_are_named(
    whorl, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    refused = whorl("compare", *arguments, "--run", tmp_path / "run")
    assert refused.exit_code == 2, refused.output
    assert message in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_plan_says_what_it_takes_and_writes_nothing(whorl, tmp_path: Path) -> None:
    planned = whorl("compare", "--preset", "smoke", "--run", tmp_path / "run", "--dry-run")
    assert planned.exit_code == 0, planned.output
    first, second, *_, last = planned.stdout.splitlines()
    assert first == "recipes: sigma, rft"
    assert second == "growing: 12,000 tokens for each recipe and seed, 24,000 in all"
    assert last == "nothing was written" and not (tmp_path / "run").exists()


def test_a_missing_role_is_named_with_its_flag(whorl, easy: Path, tmp_path: Path) -> None:
    refused = whorl(
        *("compare", "--problems", easy, "--test", easy, "--policy", f"local:{POLICY}"),
        *("--tokens", "1000", "--recipes", "rft,sigma", "--run", tmp_path / "run"),
    )
    assert refused.exit_code == 2
    assert "sigma asks a critic: name one, --critic local:FOLDER" in refused.stderr
    both = whorl(
        *("compare", "--problems", easy, "--test", easy, "--policy", f"local:{POLICY}"),
        *("--tokens", "1000", "--recipes", "rft", "--run", tmp_path / "run"),
    )
    assert "8 problems are both in" in both.stderr
    assert not (tmp_path / "run").exists()

"""`whorl compare` refuses what cannot be compared, before it makes a folder."""

from pathlib import Path

import pytest

from whorl.compare.comparison import Comparison
from whorl.models import POLICY
from whorl.recipes import RECIPES
from whorl.settings.presets import presets_of

RUNS = Path(__file__).parents[2] / "runs"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (),
            "name a --preset of the shipped models, or give --problems, --test, --policy",
        ),
        (("--preset", "huge"), "no preset 'huge'; there are smoke, small, paper"),
        (("--preset", "smoke", "--recipes", "rft,simga"), "did you mean sigma?"),
        (("--preset", "smoke", "--policy", "local:x"), "a preset has its own models"),
        (("--preset", "smoke", "--set", "rft.recipe.smaples=2"), "did you mean samples?"),
        (("--preset", "smoke", "--set", "evaluate.m=2"), "unknown setting m"),
        *(
            (
                ("--preset", "smoke", "--set", f"sigma.{field}"),
                "of sigma there are sigma.recipe.KEY",
            )
            for field in ("name=rft", "forest=rft", "grow.siblings=0", "harvest.check=false")
        ),
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


@pytest.mark.parametrize(
    ("preset", "rft", "marge", "tokens"),
    [
        (
            "paper",
            "1 round, 3 epochs, lr 1e-05, batches of 128 examples, warm-up 0.03, 4,096 tokens",
            "10 rounds, 2 epochs, lr 1e-06, batches of 1,024 states, warm-up 0.1, 2,048 tokens",
            8 * 2048,
        ),
        (
            "laptop",
            "1 round, 2 epochs, lr 0.0002, batches of 16 examples, warm-up 0.1, 1,024 tokens, "
            "adapters of rank 16",
            "2 rounds, 2 epochs, lr 2e-05, batches of 16 examples, warm-up 0.1, 1,024 tokens, "
            "adapters of rank 16",
            8 * 512,
        ),
    ],
)
def test_a_plan_says_how_the_preset_trains_and_measures(  # noqa: PLR0913
    whorl, easy: Path, held: Path, preset: str, rft: str, marge: str, tokens: int
) -> None:
    planned = whorl(
        *("compare", "--problems", easy, "--test", held, "--policy", f"local:{POLICY}"),
        *("--tokens", "1000", "--recipes", "rft,marge", "--preset", preset, "--dry-run"),
    )
    assert planned.exit_code == 0, planned.output
    assert f"  rft: {rft}\n" in planned.stdout and f"  marge: {marge}\n" in planned.stdout
    assert f"1 attempt at each, {tokens:,} tokens at most" in planned.stdout
    assert planned.stdout.count("test: 8 problems are too few to tell a gain from chance") == 1


@pytest.mark.parametrize("preset", ["laptop", "gpu"])
def test_what_lacks_the_preset_is_compared_only_where_it_is_named(
    whorl, easy: Path, held: Path, preset: str
) -> None:
    models = [part for role in ("critic", "reviser", "teacher") for part in (f"--{role}", "policy")]
    files = ("--problems", easy, "--test", held, "--policy", f"local:{POLICY}", *models)
    plan = ("compare", *files, "--tokens", "1000", "--preset", preset, "--dry-run")
    usual = whorl(*plan)
    assert usual.exit_code == 0, usual.output
    recipes = usual.stdout.splitlines()[0].removeprefix("recipes: ").split(", ")
    assert recipes == [name for name, kind in RECIPES.items() if preset in presets_of(kind)]
    named = whorl(*plan, "--recipes", "rft,tree_rpo")
    assert "  tree_rpo: 10 rounds" in named.stdout


def test_a_plan_looks_for_the_models(whorl, easy: Path, held: Path, tmp_path: Path) -> None:
    command = ("compare", "--problems", easy, "--test", held, "--tokens", "1000", "--dry-run")
    roles = ("--policy", f"local:{POLICY}", "--critic", "local:nowhere", "--reviser", "local:none")
    assert whorl(*command, *roles, "--recipes", "rft").exit_code == 0, "it asks the policy alone"
    refused = whorl(*command, *roles, "--recipes", "rft,sigma")
    assert refused.exit_code == 2
    assert "there is no model folder 'none'" in refused.stderr, refused.output


def test_recipes_that_ask_in_different_words_are_refused(whorl, easy: Path, held: Path) -> None:
    asked = (
        *("compare", "--problems", easy, "--test", held, "--policy", f"local:{POLICY}"),
        *("--tokens", "1000", "--recipes", "rft,dpo", "--dry-run"),
        *("--set", "dpo.recipe.words=qwen"),
    )
    refused = whorl(*asked)
    assert refused.exit_code == 2
    assert "rft and dpo ask for a solution in different words" in refused.stderr
    assert whorl(*asked, "--set", "rft.recipe.words=qwen").exit_code == 0


def test_settings_without_effect_are_refused_unless_a_file_has_them(
    whorl, easy: Path, held: Path, tmp_path: Path
) -> None:
    file = tmp_path / "own.toml"
    said = f'problems = "{easy}"\ntest = "{held}"\npolicy = "policy"\ntokens = 1000\n'
    file.write_text(f'{said}set = ["grpo.train.lr=1", "protocol=dart"]\n')
    command = ("compare", file, "--recipes", "rft", "--dry-run")
    assert whorl(*command).exit_code == 0
    assert whorl(*command, "--set", "rft.train.lr=1").exit_code == 0
    for setting, why in (
        ("sigma.recipe.siblings=9", "changes nothing: sigma is not compared"),
        ("grpo.train.lr=2", "grpo is not compared"),
        ("protocol=qwen", "protocol says how a --student is asked, and there is none"),
    ):
        refused = whorl(*command, "--set", setting)
        assert refused.exit_code == 2 and why in refused.stderr, refused.output
        assert len(refused.stderr.splitlines()) == 1
    preset = ("compare", "--preset", "smoke", "--dry-run", "--run", tmp_path / "run", "--set")
    assert "there is none" in whorl(*preset, "protocol=dart").stderr
    assert "grpo is not compared" in whorl(*preset, "grpo.train.lr=2").stderr


def test_processes_of_a_preset_are_obeyed(
    whorl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def play(_folder: object, comparison: Comparison, *_: object, **__: object) -> None:
        asked.append(comparison.engines.processes)
        raise KeyboardInterrupt

    monkeypatch.setattr("whorl.compare.play.play_comparison", play)
    command = ("compare", "--preset", "smoke", "--run", tmp_path / "run")
    for more in ((), ("--processes", 2)):
        assert whorl(*command, *more).exit_code == 130
    assert asked == [0, 2]


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


def test_a_file_of_options_is_read_and_the_command_line_comes_first(
    whorl, easy: Path, held: Path, tmp_path: Path
) -> None:
    file = tmp_path / "own.toml"
    file.write_text('preset = "huge"\nrun = "elsewhere"\nset = ["evaluate.m=2"]\n')
    refused = whorl("compare", file)
    assert refused.exit_code == 2
    assert "no preset 'huge'" in refused.stderr and "laptop" in refused.stderr
    refused = whorl("compare", file, "--preset", "smoke", "--run", tmp_path / "run")
    assert "unknown setting m" in refused.stderr
    added = whorl(
        *("compare", file, "--preset", "smoke", "--run", tmp_path / "run", "--set", "evaluate.n=2")
    )
    assert "unknown setting m" in added.stderr, "the file's settings stay"
    file.write_text('set = ["evaluate.n=2", "evaluate.max_tokens=99"]\n')
    planned = whorl(
        *("compare", file, "--problems", easy, "--test", held, "--policy", f"local:{POLICY}"),
        *("--tokens", "1000", "--recipes", "rft", "--set", "evaluate.n=3", "--dry-run"),
    )
    assert "8 problems, 3 attempts at each, 2,376 tokens" in planned.stdout, planned.output
    file.write_text('presett = "smoke"\n')
    refused = whorl("compare", file)
    assert refused.exit_code == 2
    assert "compare has no option 'presett'; did you mean preset?" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert "cannot be read" in whorl("compare", tmp_path / "none.toml").stderr


def test_the_file_that_comes_along_is_read(whorl, tmp_path: Path) -> None:
    """What is refused is that its problems have not been fetched."""
    refused = whorl("compare", RUNS / "real-gsm8k.toml", "--run", tmp_path / "run")
    assert refused.exit_code == 2
    assert "runs/gsm8k/" in refused.stderr and "there is no such file" in refused.stderr

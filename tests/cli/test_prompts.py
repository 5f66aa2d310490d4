"""`whorl prompts` through the command line."""

from pathlib import Path

from tests.cli.conftest import Whorl

from whorl.models import POLICY

RUN = """
run = "r"
problems = "p.jsonl"
engines.policy = "local:a"
recipe.name = "rft"
[prompts]
set = "qwen"
examples = [{question = "1+1?", solution = "It is \\\\boxed{2}."}]
"""


def test_each_role_is_shown_as_it_is_asked(whorl: Whorl) -> None:
    said = whorl("prompts", "--recipe", "sigma", "--set", "words=prose").stdout
    assert [line for line in said.splitlines() if line.startswith("===")] == [
        "=== policy: solve", "=== critic: critique", "=== reviser: revise",
    ]  # fmt: skip
    assert "End with your advice" in said and "Reference answer" not in said
    told = whorl("prompts", "--set", "mode=whole_path", "--set", "show_gold=true").stdout
    assert "=== critic: critique_path" in told and "Reference answer: 12" in told
    afresh = whorl("prompts", "--set", "mode=afresh").stdout
    assert "critic" not in afresh and "Others found 17 or 2; all of that is wrong." in afresh
    assert "=== policy: reflect" in whorl("prompts", "--recipe", "sphere").stdout


def test_a_run_files_words_are_shown(whorl: Whorl, tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(RUN)
    said = whorl("prompts", file).stdout
    assert "1+1?\n\nIt is \\boxed{2}.\n\nMia has 7" in said
    assert "--- system\nPlease reason step by step" in said


def test_a_models_template_is_put_round_it(whorl: Whorl) -> None:
    said = whorl("prompts", "--recipe", "rft", "--model", POLICY).stdout
    assert "--- user" not in said and "Problem: Mia has 7 apples" in said
    failed = whorl("prompts", "--model", "nowhere")
    assert failed.exit_code == 2 and failed.output.count("\n") <= 2

"""Options that would do nothing are refused where they were given, and no default of the user's own
is taken for one."""

from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (
            ("prompts", "run.toml", "--recipe", "sigma"),
            "run.toml says its recipe; leave out --recipe",
        ),
        (("table", "--format", "csv", "--measure", "foo", "s.jsonl"), "leave out --measure"),
        (("probe", "policy", "--limit", 3), "--limit and --share are for --recall FILE"),
        (("probe", "policy", "--share", 0.5), "--limit and --share are for --recall FILE"),
        (("probe", "policy", "--recall", "t.jsonl", "--question", "1+1?"), "leave out --question"),
        (("plan", "run.toml", "--check", "--sample", 4), "leave out --machines, --sample"),
        (("plan", "run.toml", "--check", "--machines", 4), "leave out --machines, --sample"),
        (("plan", "run.toml", "--check", "--hour", 2.5), "leave out --machines, --sample"),
    ],
)
def test_options_without_effect_are_refused(whorl, command: tuple[object, ...], why: str) -> None:
    refused = whorl(*command)
    assert refused.exit_code == 2 and why in refused.stderr, refused.output
    assert len(refused.stderr.splitlines()) == 1


def test_a_default_is_no_option(whorl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("whorl.toml").write_text('recipe = "sigma"\n')
    lines = 'run = "r"', 'problems = "p.jsonl"', 'engines.policy = "local:a"', 'recipe.name = "rft"'
    Path("run.toml").write_text("\n".join(lines))
    shown = whorl("prompts", "run.toml")
    assert shown.exit_code == 0 and "rft asks" in shown.stderr, shown.output

"""Help answers at once, teaches, and says what is written in it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from whorl.cli import EXAMPLES, app
from whorl.recipes import RECIPES

COMMANDS = [
    *(
        "demo",
        "plan",
        "run",
        "compare",
        "grow",
        "merge",
        "adopt",
        "harvest",
        "export",
        "copy",
        "train",
        "evaluate",
    ),
    *("fetch", "table", "probe", "prompts", "judge", "problems", "init", "show"),
    *("view", "status", "report"),
]

MODULES = 550
"""What help may load: 460 today. A time limit would measure the machine."""

SCRIPT = """
import sys
from whorl.cli import app
app(sys.argv[1:], standalone_mode=False)
heavy = {"torch", "transformers", "scipy", "numpy", "sympy", "pycurl"} & set(sys.modules)
print(f"{len(sys.modules)} {sorted(heavy)}", file=sys.stderr)
"""

ELSEWHERE = ("demo", "compare", "view", "copy")
"""Commands whose examples take minutes, serve pages until stopped, or need an object store;
`test_compare`, `tests/compare/test_demo`, `tests/view` and `tests/data/test_storage` run them."""


@pytest.mark.parametrize("arguments", [["--help"], ["grow", "--help"], ["run", "-h"]])
def test_help_is_quick_and_loads_nothing_heavy(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, check=True
    )
    loaded, heavy = done.stderr.splitlines()[-1].split(" ", 1)
    assert heavy == "[]"
    assert int(loaded) < MODULES
    assert "Usage: whorl" in done.stdout or "Usage: -c" in done.stdout


def test_every_command_is_covered_here() -> None:
    assert [command.callback.__name__ for command in app.registered_commands] == COMMANDS  # type: ignore[union-attr]
    assert list(EXAMPLES) == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_every_word_that_is_written(name: str) -> None:
    """Markup of the terminal's takes brackets for its own."""
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    shown = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "400"})
    assert shown.exit_code == 0 and "<|" not in shown.stdout
    text = " ".join(shown.stdout.replace("│", " ").split())
    for parameter in command.params:
        written = getattr(parameter, "help", None) or ""
        assert " ".join(written.split()) in text, parameter.name
    for example in EXAMPLES[name]:
        assert example.startswith(f"whorl {name} ") and example in text
    paragraphs = (command.help or "").replace("\\[", "[").split()
    assert " ".join(paragraphs) in text


@pytest.mark.timeout(900)
def test_every_example_runs_as_it_stands(
    load_benchmark: Callable[[str], ModuleType],
    rig_server: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for option, small in (("PROCESSES", "0"), ("LIMIT", "3"), ("MAX_TOKENS", "60")):
        monkeypatch.setenv(f"WHORL_{option}", small)  # where an example names no other
    hour = load_benchmark("first_hour")
    hour.bring_own_files(tmp_path)
    count, refused = hour.run_examples(rig_server(), ELSEWHERE)
    assert not refused and count > 40


def test_the_recipes_are_named(whorl) -> None:
    text = " ".join(whorl("grow", "--help").stdout.split())
    assert all(name in text for name in RECIPES)


def test_without_arguments_there_is_help(whorl) -> None:
    assert "Commands" in whorl().output


def test_the_version_is_told(whorl) -> None:
    assert whorl("--version").stdout.startswith("whorl 0.")


def test_options_have_defaults_in_a_file_and_in_the_environment(
    whorl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("whorl.toml").write_text('out = "a.jsonl"\n[problems]\nsplit = "test"\nn = 2\n')
    done = whorl("problems", "--json")
    assert json.loads(done.stdout)["wrote"] == {"a.jsonl": "2 problems of the split test"}
    monkeypatch.setenv("WHORL_OUT", "b.jsonl")
    assert whorl("problems", "-n", 3, "--quiet").stderr == ""
    assert len(Path("b.jsonl").read_text().splitlines()) == 3
    Path("whorl.toml").write_text('[problems]\nspilt = "test"\n')
    wrong = whorl("problems")
    assert wrong.exit_code == 2
    assert "whorl.toml: problems has no option 'spilt'; did you mean split?" in wrong.stderr
    os.remove("whorl.toml")


def test_every_command_has_json_and_quiet() -> None:
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {"--json", "--quiet", "--verbose"} <= options, name

"""Help answers at once, and teaches."""

import subprocess
import sys

import pytest
from typer.testing import Result

from whorl.cli import app
from whorl.recipes import RECIPES

COMMANDS = [
    *("demo", "run", "compare", "grow", "adopt", "harvest", "export", "train", "evaluate"),
    *(
        "fetch",
        "table",
        "probe",
        "prompts",
        "judge",
        "problems",
        "show",
        "view",
        "status",
        "report",
    ),
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


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example(command: str, whorl) -> None:
    shown: Result = whorl(command, "--help")
    assert shown.exit_code == 0
    assert f"whorl {command}" in shown.stdout.partition("Examples:")[2]


def test_the_recipes_are_named(whorl) -> None:
    text = " ".join(whorl("grow", "--help").stdout.split())
    assert all(name in text for name in RECIPES)


def test_without_arguments_there_is_help(whorl) -> None:
    assert "Commands" in whorl().output

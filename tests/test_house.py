"""What holds the house together: the public door, import cost, the examples."""

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import whorl

ROOT = Path(__file__).parent.parent


def test_everything_exported_can_be_imported_and_is_sorted() -> None:
    assert all(hasattr(whorl, name) for name in whorl.__all__)
    assert whorl.__all__ == sorted(whorl.__all__)


def test_import_loads_no_torch_and_nothing_else_that_is_heavy() -> None:
    heavy = ("torch", "transformers", "numpy", "scipy", "typer", "rich", "pydantic")
    code = (
        f"import sys, whorl, whorl.recipes.sigma; print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["toy", "new_paper", "one_problem"])
def test_examples_run(name: str) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / f"{name}.py"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_every_module_says_what_it_is() -> None:
    for path in (ROOT / "src").rglob("*.py"):
        relative = path.relative_to(ROOT / "src").with_suffix("")
        if relative.name in ("__init__", "__main__") or relative.parts[1] == "cli":
            continue
        module = importlib.import_module(".".join(relative.parts))
        assert module.__doc__, f"{relative} has no docstring"


def test_the_map_names_every_file() -> None:
    script = ROOT / "scripts" / "filemap"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    written = (ROOT / "docs" / "map.md").read_text()
    assert written == done.stdout, "run scripts/filemap > docs/map.md"


def test_the_documented_floors_are_those_that_are_checked() -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    floors = contract["contracts"][0]["layers"]
    section = (ROOT / "docs" / "design.md").read_text().partition("## Floors")[2]
    block = section.partition("\n    ")[2].partition("\n\n")[0]
    assert [line.strip() for line in block.splitlines()] == floors


def test_the_readme_program_runs() -> None:
    program = (ROOT / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "boxed" in done.stdout

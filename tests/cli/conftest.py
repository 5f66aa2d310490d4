"""Ways to call the command line."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from whorl.cli import app
from whorl.data.problems import write_problems
from whorl.data.synthetic import problems

Whorl = Callable[..., Result]


@pytest.fixture(scope="session")
def whorl() -> Whorl:
    """`whorl(*arguments)` runs a command in this process."""
    runner = CliRunner()
    return lambda *arguments: runner.invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def easy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight problems of the lowest level."""
    path = tmp_path_factory.mktemp("problems") / "easy.jsonl"
    write_problems(path, problems("pool", 8, seed=0, levels=[1]))
    return path


@pytest.fixture(scope="session")
def held(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight others to measure on."""
    path = tmp_path_factory.mktemp("problems") / "held.jsonl"
    write_problems(path, problems("test", 8, seed=0, levels=[1]))
    return path

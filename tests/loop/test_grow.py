"""What growing needs is made sure of before anything is written."""

from pathlib import Path

import pytest

from whorl.data.problems import write_problems
from whorl.data.synthetic import problems
from whorl.engines.roles import Engines
from whorl.errors import UserError
from whorl.loop.grow import ready
from whorl.loop.run import Run
from whorl.recipes.rft import Rft


def test_engines_are_checked_before_anything_is_written(tmp_path: Path) -> None:
    write_problems(tmp_path / "p.jsonl", problems("pool", 4, seed=0, levels=[1]))
    lost = Engines(f"local:{tmp_path}")
    run = Run(tmp_path / "run", tmp_path / "p.jsonl", lost, Rft())
    with pytest.raises(UserError, match="not a model folder"), ready(run):
        pass
    assert not (tmp_path / "run").exists()

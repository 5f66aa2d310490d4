"""The tables of a comparison, beside those that are there already."""

import json
from dataclasses import replace
from pathlib import Path

from whorl.cli.comparison import others
from whorl.compare.comparison import Comparison
from whorl.compare.methods import methods, select_methods
from whorl.engines.roles import Engines


def test_recipes_that_leave_the_tables_are_known(tmp_path: Path) -> None:
    file = tmp_path / "problems.jsonl"
    chosen = select_methods(methods("tiny"), ["rft", "grpo"], [])
    comparison = Comparison(file, file, Engines("local:policy"), chosen, 1000)
    assert others(tmp_path, comparison) == []
    rows = [{"recipe": name} for name in ("dpo", "rft", "dpo", "sphere")]
    (tmp_path / "compare.json").write_text(json.dumps({"results": rows}))
    assert others(tmp_path, comparison) == ["dpo", "sphere"]
    every = select_methods(methods("tiny"), ["rft", "dpo", "sphere"], [])
    assert others(tmp_path, replace(comparison, methods=every)) == []

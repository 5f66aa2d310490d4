"""Rows that outlast their run folder say what the folder said."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from whorl.compare.findings import Point, write_point
from whorl.errors import UserError
from whorl.evaluate import Score, paired, pass_rate
from whorl.evaluate.scores import write_scores


def folder_of(home: Path, right: str, often: list[int]) -> list[Score]:
    """A model's scores: of one attempt at each problem, and of four at the first ones."""
    marks = {"1": 1.0, "0": 0.0, "-": None}
    greedy = [Score(f"p{n}", "", (marks[mark],), ("7",)) for n, mark in enumerate(right)]
    sampled = [
        Score(f"p{n}", "", (1.0,) * count + (0.0,) * (4 - count), ("7",) * 4)
        for n, count in enumerate(often)
    ]
    home.mkdir(parents=True)
    write_scores(home / "greedy.jsonl", greedy)
    write_scores(home / "sampled.jsonl", sampled)
    return greedy


def test_a_row_says_what_its_scores_said(
    tmp_path: Path, load_benchmark: Callable[[str], ModuleType]
) -> None:
    script = load_benchmark("kept_rows")
    run, file = tmp_path / "run", tmp_path / "rows.jsonl"
    base = folder_of(run / "base", "0011-0", [1, 4])
    for tokens, right in ((5000, "000000"), (10_000, "1110-0")):
        home = run / "seed-0" / "rft" / f"{tokens}"
        rft = folder_of(home, right, [2, 0])
        write_point(home, Point(tokens - 7, 0, 3, 1, 3, 0, {}, 12, 900, {}, {}))
    script.keep(run, 0, file)
    rows = script.read_rows(file)
    assert list(rows) == ["base", "rft"] and rows["rft"]["tokens"] == 9993
    found, expected = script.against(rows, "rft", "base"), paired(base, rft)
    assert found["p"] == expected.p_value and found["points"] == 100 * expected.difference.value
    several = script.against(rows, "rft,base,rft", "base")
    assert several["points"] == pytest.approx(found["points"] * 2 / 3)
    sampled = script.scores(rows["base"])[1]
    assert pass_rate(sampled, 1).value == pytest.approx(5 / 8)
    lines = list(script.table(rows))
    assert lines[2].startswith("| base | 33.3 |") and lines[3].startswith("| `rft` | 50.0 |")

    again = file.read_bytes()
    script.keep(run, 0, file)
    assert file.read_bytes() == again
    script.keep(run, 0, file, "@10k")
    rows = script.read_rows(file)
    assert list(rows) == ["base", "rft", "rft@10k"]
    assert script.against(rows, "rft@10k", "rft")["points"] == 0
    other = tmp_path / "other"
    folder_of(other / "base", "111111", [1, 4])
    with pytest.raises(UserError, match=r"the base model of .* is another one"):
        script.keep(other, 0, file)
    with pytest.raises(UserError, match="there is no row sigma; there are base, rft, rft@10k"):
        script.against(rows, "sigma", "base")

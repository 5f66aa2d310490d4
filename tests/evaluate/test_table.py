"""Evaluations side by side."""

from pathlib import Path

import pytest

from whorl import UserError
from whorl.evaluate import Score, write_scores
from whorl.evaluate.table import table


def scores(*right: float) -> list[Score]:
    return [Score(str(number), "1", (each,), ("1",)) for number, each in enumerate(right)]


def test_rows_are_figures_and_what_is_shown_is_percent(tmp_path: Path) -> None:
    before, after = scores(0, 0, 1, 0), scores(1, 1, 1, 0)
    file = tmp_path / "after.jsonl"
    write_scores(file, after)
    found = table(before=before, after=file)
    first, second = found.rows
    assert (first["pass@1"], first["change"]) == (0.25, None)
    assert (second["pass@1"], second["change"], second["p"]) == (0.75, 0.5, 0.5)
    head, one, other = str(found).splitlines()
    assert head.split() == ["problems", "pass@1", "low", "high", "change", "p"]
    assert one.startswith("before  4         25.0 %")
    assert other.endswith("50.0 %  0.5")
    assert repr(found) == str(found)
    assert found._repr_html_().count("<tr>") == 3


def test_other_problems_and_nothing_are_refused() -> None:
    with pytest.raises(UserError, match="not of the same problems"):
        table(before=scores(0, 1), after=scores(0))
    with pytest.raises(ValueError, match="needs an evaluation"):
        table()


def test_a_change_is_that_of_the_column_beside_it() -> None:
    """The first attempts became better, all of them together worse."""
    before = [Score(str(n), "1", (0.0, 1.0, 1.0), ("1",) * 3) for n in range(8)]
    after = [Score(str(n), "1", (1.0, 0.0, 0.0), ("1",) * 3) for n in range(8)]
    first, second = table(before=before, after=after).rows
    assert second["change"] == pytest.approx(-1 / 3)
    assert first["pass@1"] == pytest.approx(2 / 3) and second["pass@1"] == pytest.approx(1 / 3)

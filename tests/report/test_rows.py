"""Scores as rows of a report."""

import pytest

from whorl.evaluate import Score
from whorl.report.rows import reference, row


def test_a_difference_is_that_of_the_accuracies_shown() -> None:
    before = [Score(str(n), "1", (0.0, 1.0), ("1", "1")) for n in range(6)]
    after = [Score(str(n), "1", (1.0, float(n > 3)), ("1", "1")) for n in range(6)]
    first, second = reference("before", before), row("after", before, after)
    assert second.difference is not None
    assert second.difference.value == pytest.approx(second.accuracy.value - first.accuracy.value)
    assert (second.fixed, second.broken) == (6, 0)

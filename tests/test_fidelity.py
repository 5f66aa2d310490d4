"""Every formula of the papers, by hand and by the code."""

from collections.abc import Callable
from types import ModuleType

import pytest


def test_the_code_computes_what_the_papers_say(load_benchmark: Callable[[str], ModuleType]) -> None:
    fidelity = load_benchmark("fidelity")
    rows = list(fidelity.formulas())
    assert len(rows) > 30
    assert [name for name, wanted, found in rows if not fidelity.same(wanted, found)] == []


@pytest.mark.parametrize(
    ("one", "other"), [(1.0, 1.0001), ([1.0, 2.0], [1.0]), (None, 0.0), ([1, 2], [2, 1])]
)
def test_what_differs_is_seen(
    load_benchmark: Callable[[str], ModuleType], one: object, other: object
) -> None:
    fidelity = load_benchmark("fidelity")
    assert not fidelity.same(one, other)
    assert fidelity.same(one, one)

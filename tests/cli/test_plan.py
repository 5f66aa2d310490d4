"""What a dry run says of a run."""

import json
from dataclasses import replace

import pytest

from whorl import settings
from whorl.cli.plan import setting_lines
from whorl.recipes import Sigma
from whorl.search import Uct
from whorl.settings.presets import PRESETS


def test_what_differs_comes_first_and_can_be_set_again() -> None:
    base = PRESETS[Sigma]["paper"].recipe
    own = replace(base, uct=Uct(children=2), retries=0)  # type: ignore[call-arg, type-var]
    lines = list(setting_lines(settings.as_table(own), settings.as_table(base)))
    first = lines[: lines.index("at their defaults:")]
    assert first == ['name = "sigma"', "uct.children = 2  # default 3", "retries = 0  # default 2"]
    overrides = [line.partition("  #")[0].replace(" = ", "=") for line in first[1:]]
    table = {"name": json.loads(first[0].removeprefix("name = "))}
    assert settings.read_recipe(table, overrides) == own


@pytest.mark.parametrize("changed", [{}, {"width": 8, "limit": 3}])
def test_every_setting_is_said_once(changed: dict[str, int]) -> None:
    usual = {"width": 256, "limit": None, "deep": {"a": 1, "b": [1, 2]}, "deeper": {"a": 1}}
    lines = list(setting_lines(usual | changed, usual))
    told = " ".join(lines)
    assert all(told.count(key) == 1 for key in ("width", "limit", "b=[1, 2]"))
    assert ("limit=(none)" in told) == (not changed)


def test_tables_that_say_the_same_are_one_paragraph() -> None:
    usual = {"policy": {"prompt": 0.0}, "critic": {"prompt": 0.0}}
    assert list(setting_lines(usual, usual)) == [
        "at their defaults:",
        "  policy, critic: prompt=0.0",
    ]

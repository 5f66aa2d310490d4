"""Forecasts: what they follow from, and how far they were off."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.errors import UserError
from whorl.loop.forecast import Amount, Forecast, Sample, Scale, checked, mean, sample_size

SAMPLE = Sample(
    [100.0, 200.0, 300.0],
    requests=30,
    prompt_tokens=900,
    money=6.0,
    bytes=3_000,
    seconds=60.0,
    train_seconds=6.0,
    epochs=2,
    model=500,
    exam_seconds=3.0,
    exam_tokens=50.0,
)
SCALE = Scale(300, 2, 2, exams=3, test=10)


def test_a_run_is_its_sample_as_often_as_it_is_larger() -> None:
    plan = Forecast.of(SAMPLE, SCALE)
    expected = {name: round(amount.expected, 6) for name, amount in plan.amounts.items()}
    times = 100 * 2  # problems and rounds
    assert expected == {
        "tokens": 600 * times + 30 * 50,
        "prompt_tokens": 900 * times,
        "requests": 30 * times,
        "money": 6 * times,
        "bytes": 3_000 * times + 2 * 500,
        "grow": 60 * times,
        "evaluate": 90,
        "train": 6 * 100 * 2 * 2,
    }
    assert plan.wall(1).expected == pytest.approx(12_000 + 90 + 2_400)
    assert plan.wall(4).expected == pytest.approx(3_000 + 22.5 + 2_400)
    every = Forecast.of(SAMPLE, Scale(300, 2, 2, cumulative=True)).amounts["train"]
    assert every.expected == pytest.approx(6 * 100 * 2 * 3)


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=40))
def test_an_interval_holds_its_mean_and_lies_within_the_values(values: list[float]) -> None:
    found = mean(values)
    assert min(values) - 1e-6 <= found.low <= found.high <= max(values) + 1e-6
    assert min(values) - 1e-6 <= found.expected <= max(values) + 1e-6


def test_more_problems_make_a_narrower_interval_and_one_says_nothing() -> None:
    few, many = mean([1.0, 3.0] * 4), mean([1.0, 3.0] * 64)
    assert many.high - many.low < (few.high - few.low) / 2
    assert mean([5.0]) == Amount(5.0, 0.0, float("inf"))


def test_a_forecast_is_read_as_it_was_written_and_compared_with_its_run(tmp_path: Path) -> None:
    plan, path = Forecast.of(SAMPLE, SCALE), tmp_path / "plan.json"
    plan.write(path)
    assert Forecast.read(path) == plan
    with pytest.raises(UserError, match="has played no round to its end"):
        checked(plan, tmp_path)
    played = tmp_path / "round-1"
    played.mkdir()
    (played / "harvested.json").write_text(
        json.dumps({"cost": {"policy": 50_000, "critic": 10_000}})
    )
    (played / "seconds.json").write_text('{"seconds": 14490.0}')
    found = checked(plan, tmp_path)
    assert (found.rounds, found.planned) == (1, 2)
    tokens, actual = found.amounts["tokens"]
    assert (tokens.expected, actual) == (pytest.approx(60_000), 60_000)
    wall, seconds = found.amounts["wall"]
    assert seconds == pytest.approx(2 * wall.expected)


def test_a_forecast_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="whorl plan makes it before a run"):
        Forecast.read(tmp_path / "plan.json")
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(UserError, match="cannot be read"):
        Forecast.read(tmp_path / "plan.json")


def test_a_sample_is_of_some_problems() -> None:
    assert [sample_size(n, 2, 256) for n in (5, 20, 1000)] == [5, 20, 48]
    assert sample_size(1000, 16, 64) == 16

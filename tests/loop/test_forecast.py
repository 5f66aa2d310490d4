"""Forecasts: what they follow from, and how far they were off."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.errors import UserError
from whorl.evaluate import Attempt, Place, Record, write_records
from whorl.loop.forecast import (
    Amount,
    Attempts,
    Forecast,
    Sample,
    Scale,
    checked,
    mean,
    sample_size,
)
from whorl.problem import Problem

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
    test=Attempts([40.0, 60.0], prompt_tokens=20, money=0.5, bytes=200, seconds=6.0),
)
SCALE = Scale(300, 2, 2, exams=3, test=10)
HELD = Attempts([400.0, 800.0], prompt_tokens=40, money=1.0, bytes=600, seconds=24.0)


def test_a_run_is_its_sample_as_often_as_it_is_larger() -> None:
    plan = Forecast.of(SAMPLE, SCALE)
    expected = {name: round(amount.expected, 6) for name, amount in plan.amounts.items()}
    times = 100 * 2  # problems and rounds
    assert expected == {
        "tokens": 600 * times + 30 * 50,
        "prompt_tokens": 900 * times + 30 * 10,
        "requests": 30 * times + 30,
        "money": 6 * times + 30 * 0.25,
        "bytes": 3_000 * times + 30 * 100 + 2 * 500,
        "grow": 60 * times,
        "evaluate": 90,
        "train": 6 * 100 * 2 * 2,
    }
    assert plan.wall(1).expected == pytest.approx(12_000 + 90 + 2_400)
    assert plan.wall(4).expected == pytest.approx(3_000 + 22.5 + 2_400)
    every = Forecast.of(SAMPLE, Scale(300, 2, 2, cumulative=True)).amounts["train"]
    assert every.expected == pytest.approx(6 * 100 * 2 * 3)


def test_held_out_problems_are_attempted_before_the_first_round_and_after_each() -> None:
    both = Forecast.of(replace(SAMPLE, held=HELD), replace(SCALE, held=16)).amounts
    tests = Forecast.of(SAMPLE, SCALE).amounts
    more = {name: both[name].expected - tests[name].expected for name in both}
    times = 16 * 3
    assert more == pytest.approx(
        {
            "tokens": 600 * times,
            "prompt_tokens": 20 * times,
            "requests": times,
            "money": 0.5 * times,
            "bytes": 300 * times,
            "grow": 0,
            "evaluate": 12 * times,
            "train": 0,
        }
    )
    spread = both["tokens"].high - both["tokens"].low
    assert spread > tests["tokens"].high - tests["tokens"].low
    all_of_them = Forecast.of(replace(SAMPLE, held=HELD), replace(SCALE, held=2)).amounts["tokens"]
    assert all_of_them.high - all_of_them.low == pytest.approx(
        tests["tokens"].high - tests["tokens"].low
    )


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
    plan = Forecast.of(replace(SAMPLE, held=HELD), replace(SCALE, held=4))
    path = tmp_path / "plan.json"
    plan.write(path)
    assert Forecast.read(path) == plan
    with pytest.raises(UserError, match="has played no round to its end"):
        checked(plan, tmp_path)
    played = tmp_path / "round-1"
    played.mkdir()
    (played / "harvested.json").write_text(
        json.dumps({"cost": {"policy": 50_000, "critic": 10_000}})
    )
    (played / "seconds.json").write_text('{"seconds": 7278.0}')
    record = Record(Problem("a", "1+1?", "2"), (Attempt("2", "2", 1.0, "", "stop", 70),) * 3)
    for name in ("scores-0", "scores-1", "scores-2", "held-out-1"):  # the second round is not over
        place = Place(tmp_path / f"{name}.jsonl")
        place.end(write_records(place.attempts, [record]))
    found = checked(plan, tmp_path)
    assert (found.rounds, found.planned) == (1, 2)
    tokens, actual = found.amounts["tokens"]
    attempts = 2 * (10 * 50 + 4 * 600)  # before the round and after it
    assert (tokens.expected, actual) == (pytest.approx(60_000 + attempts), 60_000 + 3 * 3 * 70)
    wall, seconds = found.amounts["wall"]
    assert wall.expected == pytest.approx(seconds)  # those before it are none of its seconds


def test_a_forecast_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="whorl plan makes it before a run"):
        Forecast.read(tmp_path / "plan.json")
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(UserError, match="cannot be read"):
        Forecast.read(tmp_path / "plan.json")


def test_a_sample_is_of_some_problems() -> None:
    assert [sample_size(n, 2, 256) for n in (5, 20, 1000)] == [5, 20, 48]
    assert sample_size(1000, 16, 64) == 16

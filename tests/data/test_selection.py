"""Samples and pass rates: what is taken, what is not, and why."""

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from whorl.data.selection import Dropped, random_problems, solved_sometimes, write_dropped
from whorl.problem import Problem


def many(count: int) -> list[Problem]:
    return [Problem(f"p/{place}", "?", "1") for place in range(count)]


def test_problems_that_are_solved_sometimes() -> None:
    dropped: list[Dropped] = []
    rates = {"p/0": 0.0, "p/1": 0.1, "p/2": 0.5, "p/3": 0.9, "p/4": 1.0}
    found = solved_sometimes(many(6), rates, 0.1, 0.9, on_drop=dropped.append)
    assert [problem.id for problem in found] == ["p/1", "p/2", "p/3"]
    assert dropped == [
        Dropped("p/0", "pass rate below 0.1:0.9", share=0.0),
        Dropped("p/4", "pass rate above 0.1:0.9", share=1.0),
        Dropped("p/5", "no score"),
    ]


@given(st.integers(0, 60), st.integers(1, 60), st.integers(0, 5))
def test_a_sample_is_in_order_and_grows_by_adding(count: int, n: int, seed: int) -> None:
    of = many(count)
    taken = random_problems(of, n, seed=seed)
    assert taken == [problem for problem in of if problem in taken]
    assert len(taken) == min(n, count)
    assert set(taken) <= set(random_problems(of, n + 1, seed=seed))
    if taken:
        without = [problem for problem in of if problem != taken[0]]
        assert set(taken[1:]) <= set(random_problems(without, n, seed=seed))


def test_every_problem_is_drawn_equally_often() -> None:
    of = many(20)
    drawn = [0] * 20
    for seed in range(600):
        for problem in random_problems(of, 5, seed=seed):
            drawn[of.index(problem)] += 1
    assert sum(drawn) == 3000 and all(110 < count < 190 for count in drawn)  # 150 +- 3.8 sigma


def test_what_was_dropped_is_a_line_each(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    dropped = [Dropped("a", "no score"), Dropped("b", "13 words", "t/1", 0.0, "π two")]
    assert write_dropped(path, dropped) == 2
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"id": "a", "why": "no score"},
        {"id": "b", "why": "13 words", "of": "t/1", "share": 0.0, "words": "π two"},
    ]

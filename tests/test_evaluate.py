import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.ask import Ask, Replies, Reply
from whorl.engines.function import Function
from whorl.errors import UserError
from whorl.evaluate import (
    Decoding,
    Score,
    Setup,
    evaluate,
    paired,
    pass_at,
    read_scores,
    summarise,
    wilson,
    write_scores,
)
from whorl.evaluate import score as scored
from whorl.evaluate.measures import bootstrap
from whorl.problem import Problem

TEN = [Problem(str(n), f"What is {n} + {n}?", str(2 * n), level=str(n % 2)) for n in range(10)]


def score(right: Sequence[float | None], id: str = "a", level: str = "", **rest) -> Score:
    answers = rest.pop("answers", tuple("yes" if r else "no" for r in right))
    return Score(id, level, tuple(right), answers, **rest)


def scores(right: Sequence[float]) -> list[Score]:
    return [score([r], id=str(i)) for i, r in enumerate(right)]


def solves(ask: Ask) -> Replies:
    """Right below 5, wrong from 5, cut off at 7, no sense at 9; fails at 8."""
    number = int(ask.prompt.user.split()[3])
    if number == 8:
        raise RuntimeError("out of memory")
    text = f"Double it.\n\nThe answer is \\boxed{{{2 * number + (number >= 5)}}}."
    text = {7: "Double it.\n\nSo", 9: "I give up."}.get(number, text)
    finished = "length" if number == 7 else "eos"
    return (Reply(text, finished=finished, tokens=3),) * ask.n


@given(st.integers(1, 9), st.data())
def test_pass_at_k_is_the_share_of_draws_that_include_a_right_one(n: int, data) -> None:
    right = data.draw(st.integers(0, n))
    k = data.draw(st.integers(1, n))
    draws = list(combinations(range(n), k))
    lucky = sum(any(i < right for i in draw) for draw in draws)
    assert pass_at(n, right, k) == pytest.approx(lucky / len(draws), abs=1e-12)


def test_pass_at_k_of_large_numbers() -> None:
    assert pass_at(10_000, 1, 100) == pytest.approx(0.01)
    with pytest.raises(ValueError):
        pass_at(4, 1, 5)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [  # to three places, as published for Wilson's interval
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, Statistics in Medicine 17:857, table I
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (294, 500, 0.544, 0.630),
    ],
)
def test_wilson(successes: int, trials: int, low: float, high: float) -> None:
    rate = wilson(successes, trials)
    assert (rate.low, rate.high) == pytest.approx((low, high), abs=6e-5 if trials < 500 else 6e-4)
    assert rate.value == successes / trials


def test_the_bootstrap_agrees_with_the_normal_interval_of_a_mean() -> None:
    values = [0.0, 0.25, 0.5, 1.0] * 100
    rate = bootstrap(values)
    deviation = (sum((v - 0.4375) ** 2 for v in values) / 400) ** 0.5
    assert rate.value == 0.4375
    assert rate.low == pytest.approx(0.4375 - 1.96 * deviation / 20, abs=0.004)
    assert rate.high == pytest.approx(0.4375 + 1.96 * deviation / 20, abs=0.004)
    assert bootstrap(values) == rate


def test_paired_against_known_values() -> None:
    """Agresti, Categorical Data Analysis, table 10.1: 1,600 ratings, twice."""
    before = scores([1.0] * 794 + [1.0] * 150 + [0.0] * 86 + [0.0] * 570)
    after = scores([1.0] * 794 + [0.0] * 150 + [1.0] * 86 + [0.0] * 570)
    result = paired(before, after)
    assert (result.problems, result.fixed, result.broken) == (1600, 86, 150)
    assert result.difference.value == pytest.approx(-0.04)
    assert result.difference.low == pytest.approx(-0.0587, abs=1e-4)  # Wald: -0.04 +- 0.0187
    assert result.difference.high == pytest.approx(-0.0213, abs=1e-4)
    assert result.p_value == pytest.approx(3.7e-5, rel=0.02)


@pytest.mark.parametrize(
    ("fixed", "broken", "p"), [(0, 0, 1.0), (5, 0, 0.0625), (1, 9, 0.021484375), (3, 3, 1.0)]
)
def test_mcnemar(fixed: int, broken: int, p: float) -> None:
    before = scores([0.0] * fixed + [1.0] * broken + [1.0])
    after = scores([1.0] * fixed + [0.0] * broken + [1.0])
    assert paired(before, after[::-1]).p_value == pytest.approx(p)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_swapping_before_and_after_mirrors_the_comparison(pairs: list[tuple[bool, bool]]) -> None:
    before = scores([float(b) for b, _ in pairs])
    after = scores([float(a) for _, a in pairs])
    there, back = paired(before, after), paired(after, before)
    assert (there.fixed, there.broken) == (back.broken, back.fixed)
    assert there.p_value == pytest.approx(back.p_value)
    assert -1 <= there.difference.low <= there.difference.value <= there.difference.high <= 1
    assert there.difference.low == pytest.approx(-back.difference.high)


def test_only_equal_problems_are_compared() -> None:
    with pytest.raises(UserError, match="not of the same problems: '1' is in one only"):
        paired(scores([1.0]), scores([1.0, 0.0]))
    with pytest.raises(UserError, match="problem '0' is scored twice"):
        paired(scores([1.0]) * 2, scores([1.0]))
    with pytest.raises(UserError, match="no problems to compare"):
        paired([], [])


def test_the_summary_counts_apart_what_is_not_right() -> None:
    found = [
        score([1.0, 0.0, None, 0.0], "a", "1", answers=("4", None, "x", "5")),
        score([1.0, 1.0, 1.0, 1.0], "b", "1", cut=1),
        score([0.0, 0.0, 0.0, 0.0], "c", "2"),
        Score("d", "2", (), (), error="policy: out of memory"),
    ]
    summary = summarise(found, ks=(1, 2, 4))
    assert (summary.problems, summary.attempts, summary.failed) == (4, 12, 1)
    assert (summary.undecided, summary.unanswered, summary.cut) == (1, 1, 1)
    assert summary.passed[1].value == pytest.approx((0.25 + 1) / 4)
    assert summary.passed[2].value == pytest.approx((0.5 + 1) / 4)
    assert summary.passed[4] == wilson(2, 4)
    assert summary.levels["2"] == (2, wilson(0, 2))
    assert summary.levels["1"][1].value == pytest.approx(0.625)
    assert json.loads(json.dumps(asdict(summary)))["passed"]["4"]["value"] == 0.5


@pytest.mark.parametrize(
    ("answers", "right", "won"),
    [
        (("4", "5", "5"), (1.0, 0.0, 0.0), 0.0),
        (("4", "5", "4"), (1.0, 0.0, 1.0), 1.0),
        (("4", "5", None), (1.0, 0.0, 0.0), 1.0),  # a tie: the earliest
        ((None, None, "4"), (0.0, 0.0, 1.0), 1.0),  # no answer is no vote
        ((None, None, None), (0.0, 0.0, 0.0), 0.0),
        (("x", "x", "4"), (None, None, 1.0), 0.0),  # undecided is not right
    ],
)
def test_the_majority_decides(
    answers: tuple[str | None, ...], right: tuple[float | None, ...], won: float
) -> None:
    summary = summarise([Score("a", "", right, answers)], ks=(3,))
    assert summary.majority[3].value == won


def test_too_few_attempts_are_refused() -> None:
    with pytest.raises(UserError, match="problem 'a' has 2 attempts, too few for @4"):
        summarise([score([1.0, 0.0])], ks=(4,))
    with pytest.raises(UserError, match="no scores"):
        summarise([])


def test_evaluating_attempts_every_problem() -> None:
    engine = Function(solves)
    records = {r.problem.id: r for r in evaluate(TEN, {"policy": engine}, setup=Setup())}
    found = {id: scored(record) for id, record in records.items()}
    assert sorted(found) == [problem.id for problem in TEN]
    assert [found[str(n)].right for n in range(8)] == [(1.0,)] * 5 + [(0.0,)] * 3
    assert found["3"] == Score("3", "1", (1.0,), ("6",))
    assert (found["7"].answers, found["7"].cut) == ((None,), 1)
    assert found["8"].error == "policy: RuntimeError: out of memory"
    summary = summarise(list(found.values()))
    assert summary.passed == {1: wilson(5, 10)}
    assert (summary.failed, summary.unanswered, summary.cut) == (1, 2, 1)
    assert {level: (n, rate.value) for level, (n, rate) in summary.levels.items()} == {
        "0": (5, 0.6),
        "1": (5, 0.4),
    }


def test_what_comparison_cannot_settle_goes_to_the_judge() -> None:
    problem = Problem("p", "Factor it.", "(x-1)(x+1)")
    replies = [r"\boxed{x^2-1}", r"\boxed{x^2-2}", r"\boxed{x^{2^2}}"]
    verdicts = {"x^2-1": 1.0, "x^2-2": 0.0, "x^{2^2}": None}
    engines = {
        "policy": Function(lambda ask: tuple(Reply(text) for text in replies)),
        "judge": Function(lambda ask: (Reply(value=verdicts[ask.prompt.prefix]),)),
    }
    setup = Setup(decoding=Decoding(n=3, temperature=0.7))
    (record,) = evaluate([problem], engines, setup=setup)
    found = scored(record)
    assert found.right == (1.0, 0.0, None)


def test_attempts_are_asked_as_told() -> None:
    asked: list[Ask] = []

    def answer(ask: Ask) -> Replies:
        asked.append(ask)
        return (Reply(r"\boxed{0}"),) * ask.n

    decoding = Decoding(n=4, temperature=0.8, top_p=0.9, max_tokens=77)
    setup = Setup(decoding=decoding)
    list(evaluate(TEN[:2], {"policy": Function(answer)}, setup=setup, seed=3))
    assert {(a.n, a.temperature, a.top_p, a.max_tokens) for a in asked} == {(4, 0.8, 0.9, 77)}
    assert len({a.seed for a in asked}) == 2


@pytest.mark.parametrize("wrong", [{"n": 0}, {"max_tokens": 0}, {"n": 2}])
def test_decoding_is_checked(wrong: dict[str, int]) -> None:
    with pytest.raises(UserError):
        Decoding(**wrong)


def test_scores_survive_the_disk_in_an_order_of_their_own(tmp_path: Path) -> None:
    found = [
        score([1.0, None], "b", "2", answers=("½", None), cut=1),
        Score("a", "", (), (), error="policy: no"),
    ]
    assert write_scores(tmp_path / "scores.jsonl", found) == 2
    assert read_scores(tmp_path / "scores.jsonl") == [found[1], found[0]]
    write_scores(tmp_path / "again.jsonl", found[::-1])
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "scores.jsonl").read_bytes()


@pytest.mark.parametrize(
    "line", ["{", "[]", "{}", '{"id":"a","level":"","right":[2],"answers":[]}']
)
def test_a_bad_line_of_scores_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "scores.jsonl"
    write_scores(path, [score([1.0])])
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(UserError, match=r"scores\.jsonl:2: "):
        read_scores(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_scores(tmp_path / "none.jsonl")


def test_importing_loads_no_scipy() -> None:
    code = "import sys, whorl.evaluate; sys.exit(any(m in sys.modules for m in ('scipy', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""Verdicts by kind, on the tables of pairs, without processes."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engines.judge.pairs import RIGHT, WRONG

from whorl.answer import Conventions
from whorl.engines.judge.decide import judge

CASES = Path(__file__).parents[4] / "shared" / "cases" / "pairs.jsonl"


@pytest.mark.parametrize("kind", RIGHT)
def test_what_says_the_same_is_right_both_ways_round(kind: str) -> None:
    for gold, answer in RIGHT[kind]:
        assert judge(gold, answer).right is True, (gold, answer, judge(gold, answer))
        assert judge(answer, gold).right is True, (answer, gold, judge(answer, gold))


@pytest.mark.parametrize("kind", WRONG)
def test_what_only_looks_the_same_is_never_right(kind: str) -> None:
    for gold, answer in WRONG[kind]:
        assert judge(gold, answer).right is not True, (gold, answer, judge(gold, answer))
        if (gold, answer) != ("12", "12_3"):  # a numeral may leave out the base that was asked for
            assert judge(answer, gold).right is not True, (answer, gold, judge(answer, gold))


@pytest.mark.parametrize(
    ("convention", "gold", "answer", "right"),
    [
        ({"vectors": "tuples"}, r"\begin{pmatrix}1\\2\end{pmatrix}", "(1,2)", True),
        ({"vectors": "tuples"}, r"\begin{pmatrix}1\\2\end{pmatrix}", "(2,1)", False),
        ({"vectors": "tuples"}, r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", "(1,2,3,4)", None),
        ({}, r"\begin{pmatrix}1\\2\end{pmatrix}", "(1,2)", None),
        ({"decimals": "comma"}, "3,14", "3.14", True),
        ({"decimals": "comma"}, "1.234,5", "1234.5", True),
        ({"decimals": "comma"}, r"3,5\sqrt{2}", r"\frac{7}{2}\sqrt{2}", True),
        ({}, "3,14", "3.14", False),
        ({"intervals": "written"}, "(1,3)", "1<x<3", False),
        ({"assignments": "required"}, "y=x+1", "x+1", False),
        ({"units": "required"}, r"60 \text{ km/h}", "60", False),
        ({"units": "ignored"}, r"60 \text{ km/h}", r"60 \text{ m/s}", True),
        ({"tolerance": 0.01}, r"\sqrt{2}", "1.41", True),
        ({"tolerance": 0.0}, r"\sqrt{2}", "1.4142135623731", False),
        ({"lists": "ordered"}, r"\sqrt{8}, 1", r"1, 2\sqrt{2}", False),
    ],
)
def test_conventions(
    convention: dict[str, Any], gold: str, answer: str, right: bool | None
) -> None:
    assert judge(gold, answer, Conventions(**convention)).right is right


def test_what_is_the_same_at_integers_alone_is_undecided() -> None:
    assert judge(r"\lceil n/2\rceil", r"\lfloor(n+1)/2\rfloor").right is None


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("5", "the sum of 2 and 3"),
        ("123456", "1,23,456"),
        ("0.333", "0.333..."),
        ("90", "1 hour and 30 minutes"),
    ],
)
def test_what_may_be_meant_otherwise_is_undecided(gold: str, answer: str) -> None:
    assert judge(gold, answer).right is None


@pytest.mark.parametrize(
    ("gold", "answer", "right"),
    [
        ("36", r"\text{Area} : 36", True),
        ("37", r"\text{Area} : 36", False),
        ("2", r"\text{Tom: } 2", True),
        ("2:3", r"\text{Ratio: } 4:6", True),
        ("3:2", r"\text{Ratio: } 2:3", False),
        (r"\text{Bob: } 2", r"\text{Tom: } 2", False),
        ("A = 36", r"\text{Area: } 36", None),
        ("2, 3", r"\text{Tom}: 2, \text{Bob}: 3", None),
        (r"\text{Tom}: 3, \text{Bob}: 2", r"\text{Tom}: 2, \text{Bob}: 3", None),
        ("A", r"\text{A: } 5", True),
    ],
)
def test_a_label_is_a_name(gold: str, answer: str, right: bool | None) -> None:
    assert judge(gold, answer).right is right


@pytest.mark.parametrize(
    "text",
    ["Out of the 20 students, 5 are boys", "A total of 18 eggs are sold", "that 18 eggs are left"],
)
@pytest.mark.parametrize("gold", ["5", "18", "20"])
def test_a_sentence_beside_a_number_is_undecided(text: str, gold: str) -> None:
    assert judge(gold, text).right is None


@pytest.mark.parametrize("answer", ["3 wug", "3 KM", "3 m", "3 ab"])
def test_letters_after_a_blank_may_be_a_word_and_are_undecided(answer: str) -> None:
    assert judge("3", answer).right is None
    assert judge("4", "3x").right is False


@pytest.mark.skipif(not CASES.is_file(), reason="the shared cases are not beside the repo")
def test_the_shared_cases() -> None:
    from whorl.answer import read

    for line in CASES.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        answer = read(case["prediction"], case["gold"])
        right = answer is not None and judge(case["gold"], answer).right is True
        assert right == (case["expected"] == "right"), case


atoms = st.sampled_from(["x", "y", "2", "3", r"\pi", r"\sqrt{2}", r"\frac{1}{3}", "n", "t"])


@st.composite
def expressions(draw: st.DrawFn) -> str:
    def joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.one_of(
            st.tuples(inner, inner).map(lambda ab: f"({ab[0]}+{ab[1]})"),
            st.tuples(inner, inner).map(lambda ab: f"({ab[0]})({ab[1]})"),
            st.tuples(inner, inner).map(lambda ab: f"\\frac{{{ab[0]}}}{{{ab[1]}}}"),
            inner.map(lambda a: f"({a})^2"),
            inner.map(lambda a: f"-({a})"),
            inner.map(lambda a: f"\\sin({a})"),
        )

    return draw(st.recursive(atoms, joined, max_leaves=6))


@given(expressions(), expressions())
@settings(max_examples=20, deadline=None)
def test_algebra_keeps_its_laws(a: str, b: str) -> None:
    for one, other in (
        (f"{a}+{b}", f"{b}+{a}"),
        (f"({a})({b})", f"({b})({a})"),
        (f"({a}+{b})^2", f"({a})^2+2({a})({b})+({b})^2"),
        (f"{a}-({b})", f"-({b}-({a}))"),
        (f"\\frac{{{a}}}{{7}}", f"\\frac{{1}}{{7}}({a})"),
    ):
        assert judge(one, other).right in (True, None), (one, other, judge(one, other))
        assert judge(one, f"{other}+1").right is not True
    assert judge(a, a).right is True


@given(expressions(), expressions())
@settings(max_examples=20, deadline=None)
def test_verdicts_are_symmetric(a: str, b: str) -> None:
    assert judge(a, b).right is judge(b, a).right


@given(st.text(max_size=40), st.sampled_from([r"\frac{\pi}{7}", "x+1", r"[0,\infty)", "a=2"]))
@settings(max_examples=150, deadline=None)
def test_no_text_raises(answer: str, gold: str) -> None:
    assert judge(gold, answer).reason
    assert judge(answer, answer).right is True


@pytest.mark.parametrize(
    "hostile",
    [
        "9^{9^{9^9}}",
        "10^{10^{10}}",
        "(10^9)!",
        r"\binom{10^6}{5 \cdot 10^5}",
        r"7^{10^9} \bmod 13",
        "(x+1)^{100000}",
        "(" * 300 + "x" + ")" * 300,
        r"\sqrt{" * 280 + "2" + "}" * 280,
        r"\frac{1}{" * 200 + "2" + "}" * 200,
        r"\lfloor 10^{10^{5}}\pi\rfloor",
        r"\sin(10^{10^8})",
        r"e^{e^{e^{e^{10}}}}",
        r"\sum_{k=1}^{1000000} \frac{1}{k^2+\sin k}",
        r"\begin{pmatrix}" + "1&" * 400 + r"1\end{pmatrix}",
        "1," * 900 + "1",
        r"\pm" * 600 + "1",
        "x=" * 600 + "1",
        "-" * 1_900 + "1",
        "2^" * 600 + "2",
        "!" * 100,
        "5" + "!" * 100,
        r"\begin{vmatrix}" + (r"1&2&3&4&5&6&7&8\\" * 8) + r"\end{vmatrix}",
    ],
)
def test_hostile_answers_are_not_right_and_take_no_time(hostile: str) -> None:
    import time

    begun = time.process_time()
    assert judge(r"\frac{\pi}{7}", hostile).right is not True
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [
        ("6AM+3", "2", False),
        ("6AM + 3", "6PM + 3", False),
        ("5AM - 2", "-5/2", False),
        ("2AM + 3BM", "3BM + 2AM", True),
        (r"4PM^2", r"4\cdot PM^2", True),
        ("3", "3 log n", False),
        (r"2\log n", "2 log n", True),
        ("4 tax", "4a t x", True),
        ("2", "2/lambda", False),
        ("1", "1/kappa", None),
        (r"\frac{1}{\lambda}", "1/lambda", True),
        ("5", "5/total", None),
        ("10", "10^{th}", False),
        (r"7\%", "7th", False),
        ("1/2 mile", "1/2 a mile", None),
        ("12:30 AM", "0:30 AM", None),
    ],
)
def test_letters_in_a_formula_are_no_time_unit_or_ordinal(
    one: str, other: str, verdict: bool | None
) -> None:
    assert judge(one, other).right is verdict and judge(other, one).right is verdict

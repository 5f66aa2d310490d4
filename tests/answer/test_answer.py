"""Final answers: what is extracted, what plain form it takes, and when two are surely equal."""

import json
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.answer import (
    LONGEST,
    Conventions,
    compare,
    equal,
    extract,
    first_solution,
    items,
    normalise,
    parsable,
    read,
)
from whorl.data.problems import read_problems

DATA = Path(__file__).parents[3] / "shared" / "data"
shared = pytest.mark.skipif(not DATA.is_dir(), reason="the shared math data is not beside the repo")

numbers = st.fractions(max_denominator=10**6)
pieces = st.sampled_from([
    "1", "2", "10", "1,000", "0.5", ".", ",", "-", "+", "=", "%", "x", "y", "cm", "hours", "and",
    "e", "/", "_", "^", "{", "}", "(", ")", "[", "]", r"\{", r"\}", "$", r"\$", r"\%", r"\,", r"\!",
    " ", "\\", r"\frac", r"\dfrac", r"\sqrt", r"\pi", r"\text", r"\left", r"\right", r"\boxed",
])  # fmt: skip
texts = st.lists(pieces, max_size=12).map("".join) | st.text(max_size=30)


@st.composite
def balanced(draw: st.DrawFn) -> str:
    """Text in which every brace has its partner, and no box."""
    plain = st.text("ab1 +-$.,()\n", min_size=1, max_size=6)
    inner = st.recursive(plain, lambda more: st.lists(more, max_size=3).map(
        lambda parts: "{" + "".join(parts) + "}" + r"\{" + r"\frac{1}{2}"
    ))  # fmt: skip
    return draw(inner)


@given(st.text("abc {}\\", max_size=20).filter(lambda text: "{" not in text), balanced())
def test_a_box_gives_back_what_it_holds(before: str, inside: str) -> None:
    found = extract(f"{before} so \\boxed{{{inside}}}. Done.")
    assert found == (inside.strip() or None)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"First \boxed{1}, then \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"It is \fbox{7}", "7"),
        (r"\boxed {3}", "3"),
        (r"Put it in \boxed{}: that is \boxed{5}, in \boxed{ }", "5"),
        (r"A set: $\boxed{\{1, 2\}}$", r"\{1, 2\}"),
        (r"\boxed{\left\{ x \right.}", r"\left\{ x \right."),
        (r"\boxed{4} and cut off \boxed{\frac{1", "4"),
        ("The answer is 42.", "42"),
        ("The answer is 42 because geometry proves it.", "42"),
        ("So the final answer is: $x-2y = 3.5$. I hope it is correct.", "x-2y = 3.5"),
        ("The answer is 1. No: the answer is **3.5**", "3.5"),
        ("Answer:\n9\nDone", "9"),
        (r"ANSWER: \(\frac{1}{2}\) apples", r"\frac{1}{2}"),
        (r"\boxed{1} and \boxed{2}", "1, 2"),
        (r"\[ \boxed{(1, 2)},\quad \boxed{x}\] or \(\boxed{\pi}\).", r"(1, 2), x, \pi"),
        (r"$\boxed{0.5}$ or $\boxed{\frac{1}{2}}$", r"\frac{1}{2}"),
        (r"\boxed{10} and then \boxed{42}", "42"),
        (r"\boxed{7}\boxed{8}", "8"),
        (r"$x_1=\boxed{3}$, $x_2=\boxed{2}$", "3, 2"),
        (r"x=\boxed{3} or x=\boxed{2}", "3, 2"),
        (r"\boxed{3} \quad \boxed{2}", "3, 2"),
        (r"(1) \boxed{3} (2) \boxed{2}", "3, 2"),
        (r"\boxed{2} or $3$", "2, 3"),
        (r"\boxed{2} million", "2 million"),
        (r"$-\boxed{2}$", "-2"),
        (r"$\boxed{2}\pi$", r"2\pi"),
        (r"$\frac{1}{\boxed{2}}$", r"\frac{1}{2}"),
        (r"$10 - 8 = \boxed{2}$.", "2"),
        (r"So \boxed{2} apples", "2"),
        (r"$\boxed{90}^\circ$", "90"),
        (r"\boxed{\text{both } \boxed{3}}", r"\text{both } \boxed{3}"),
        ("Final Answer: The largest $n$ is 34.", "34"),
        ("The answer is that $x$ is $5$, which is odd.", "5"),
        ("Answer:\n$$\n 9 \n$$", "9"),
        ("The answer is $5 and not $6", "$5 and not $6"),
        ("He has 3.\n#### 1,250", "1,250"),
        ("Step 4: #### 37.5", "37.5"),
        ("It is so.\nA: 26", "26"),
        ("#### Setting up", None),
        ("A: 26\nB: 27", None),
        ("Point A: 26 degrees", None),
        ("So it is.\n\n# Answer\n\n216", "216"),
        ("We get 12, and then 13", None),
        ("I don't know", None),
        (r"the answer is", None),
        ("", None),
    ],
)
def test_extraction(text: str, answer: str | None) -> None:
    assert extract(text) == answer


@given(
    st.lists(st.integers(-99, 99), min_size=1, max_size=6, unique=True),
    st.sampled_from([", ", " and ", r" \quad \text{or} \quad ", "$, and $", ";\n"]),
)
def test_boxes_in_a_row_are_one_list(numbers: list[int], joint: str) -> None:
    text = joint.join(f"\\boxed{{{number}}}" for number in numbers)
    assert extract(f"The roots of \\boxed{{?}} are ${text}$.") == ", ".join(map(str, numbers))


STATED = [r"So it is \boxed{5}.", "The answer is 5.", "#### 5"]
GOES_ON = [
    "\n\nQuestion: What is 2 + 2?\n\n\\boxed{4}",
    "\n**Problem:** Find x. The answer is 7.",
    "\n### Instruction:\nAdd.\n### Response:\nAnswer: 12",
    "<|im_end|>\n<|im_start|>user\nAnd 3 + 3? \\boxed{6}",
    "</s> The answer is 8.",
]


@pytest.mark.parametrize("stated", STATED[:2])
@pytest.mark.parametrize("more", GOES_ON)
def test_what_is_written_after_the_solution_is_not_read(stated: str, more: str) -> None:
    assert first_solution(stated + more).strip() == stated
    assert extract(stated + more) == "5"


@pytest.mark.parametrize(
    "text",
    [
        "Question: what is asked? The sum.\nThe answer is 5.",
        "Q: How many? 3 and 2.\n\\boxed{5}",
        "Question 1: how many? The answer is 3.\nQuestion 2: and then? The answer is 5.",
        "<|im_start|>assistant\nIt is \\boxed{5}",
        r"\boxed{3} is a part. The Problem: more of it gives \boxed{5}",
    ],
)
def test_a_solution_that_asks_itself_something_is_read_to_its_end(text: str) -> None:
    assert first_solution(text) == text
    assert extract(text) == "5"


@given(
    st.lists(st.sampled_from([*STATED, *GOES_ON, "a", "\n", "Q:", " "]), max_size=6).map("".join)
)
def test_the_first_solution_begins_the_text_and_is_one_solution(text: str) -> None:
    first = first_solution(text)
    assert text.startswith(first)
    assert first_solution(first) == first


@pytest.mark.parametrize(
    ("prediction", "stated", "guessed"),
    [
        (r"so \boxed{3} of 7", "3", "3"),
        ("17", "17", "17"),
        ("$x^2$ and $5$", "$x^2$ and $5$", "$x^2$ and $5$"),
        ("no real solutions", "no real solutions", "no real solutions"),
        ("We get 3 and then 5 apples in all", None, "5"),
        ("so the number is 10 which is 1,000.99m²", None, "1,000.99"),
        ("Here it is: $ \\sqrt{2} $ at last", None, "\\sqrt{2}"),
        ("Thus \\(x\\) is \\[ y \\] there are 12 left", None, "12"),
        ("It costs them $10 and then $20 more", None, "20"),
        ("open('marker').read(7) for the answers", None, None),
        ("nothing of that kind can be said here", None, None),
        ("", None, None),
    ],
)
def test_reading_guesses_only_when_told(
    prediction: str, stated: str | None, guessed: str | None
) -> None:
    assert read(prediction) == stated
    assert read(prediction, guess=True) == guessed


def test_a_prediction_in_the_words_of_the_gold_answer_is_taken_whole() -> None:
    gold = "all functions of the form $f(x) = ax$ for some $a > 0$"
    assert read(gold) is None
    assert read(f" {gold}\n", gold) == gold


@pytest.mark.parametrize(
    "text",
    [
        r"\boxed{" * 100_000,
        r"\boxed{ " * 100_000 + "}" * 100_000,
        "answer is " * 100_000,
        "answer" + " " * 1_000_000,
        r"answer is \[" * 100_000,
        "\\" * 1_000_000,
        r"\boxed{1}, " * 100_000,
        r"\boxed{1}" + "\nQuestion: answer is" * 50_000,
        " <|im_end|>" * 100_000,
        "answer is a " + "is " * 300_000,
        "$1 \\[ 1) " * 100_000,
    ],
    ids=range(11),
)
def test_hostile_text_takes_linear_time(text: str) -> None:
    started = time.process_time()
    read(text, guess=True)
    assert time.process_time() - started < 3


@pytest.mark.parametrize(
    ("answer", "plain"),
    [
        (r"$\dfrac{33}{100}$.", r"\frac{33}{100}"),
        (r"\frac 59", r"\frac{5}{9}"),
        (r"\tfrac1{72}", r"\frac{1}{72}"),
        (r"\left( 3, \frac{\pi}{2} \right)", r"(3, \frac{\pi}{2})"),
        (r"\$32,\!348", "32348"),
        (r"10{,}000", "10000"),
        (r"1\,234", "1234"),
        ("1,234,567.5", "1234567.5"),
        ("1, 234", "1, 234"),
        ("(1,234)", "(1, 234)"),
        (r"5\text{ cm}^2", "5"),
        ("approximately 10 feet.", "10"),
        (r"164 \pi \mbox{ square feet}", r"164\pi"),
        (r"90^{\circ}", "90"),
        (r"K=8", "8"),
        (r"f(x) = 2 x", "2x"),
        (r"x \in [-2,7]", "[-2, 7]"),
        ("2x + z = 1", "2x+z=1"),
        (r"6 \text{ and } 8", "6, 8"),
        (r"\text{Evelyn}", "Evelyn"),
        ("no  solution", "no solution"),
        ("1 1/2", "1 1/2"),
        (r"\boxed{\text{odd}}", "odd"),
        ("28 percent", "28%"),
        ("5 factorial", "5factorial"),
        (r"3\times\text{width}", r"3\times width"),
        ("10^{3}5", "10^{3}5"),
        ("2 = x", "2"),
        ("7 = 7", "7=7"),
        ("5!=120", "5!=120"),
        ("]0, 1]", "(0, 1]"),
        ("[0; 1[", "[0, 1)"),
        ("[0, 1[", "[0, 1)"),
        ("x >= 5", r"x\ge5"),
        ("x != 5", r"x\ne5"),
        ("sqrt(2)/2", r"\sqrt{2}/2"),
        ("√34", r"\sqrt{34}"),
        ("12*pi", r"12*\pi"),
        (r"\text{Area} : 36", "36"),
        (r"$\text{Tom: } 2$", "2"),
        (r"\text{Total cost: } \$36", "36"),
        ("Area: 36 cm", "36"),
        (r"\text{Ratio: } 2:3", "2:3"),
    ],
)
def test_plain_form(answer: str, plain: str) -> None:
    assert normalise(answer) == plain
    assert normalise(plain) == plain


@given(texts, texts)
def test_equality_is_reflexive_and_symmetric(one: str, other: str) -> None:
    assert equal(one, one) is True
    assert equal(one, other) is equal(other, one)


def notations(value: Fraction) -> Iterator[str]:
    sign, above, below = "-" if value < 0 else "", abs(value.numerator), value.denominator
    yield f"{value.numerator}/{below}"
    yield f"${sign}\\dfrac{{{above}}}{{{below}}}$"
    yield f"\\frac{{{value.numerator * 3}}}{{{below * 3}}}"
    yield f"x = {sign}{above} / {below}"
    yield f"{value.numerator * 100}/{below}\\%" if below > 1 else f"{value.numerator:,}"
    if below > 1 and above > below:
        yield f"{sign}{above // below}\\frac{{{above % below}}}{{{below}}}"
        yield f"{sign}{above // below} {above % below}/{below}"
    if below == 1:
        yield f"{value.numerator}.0 apples"


rules = st.builds(
    Conventions,
    percent=st.sampled_from(["either", "number", "fraction"]),
    units=st.sampled_from(["optional", "required", "ignored"]),
    lists=st.sampled_from(["unordered", "ordered"]),
    assignments=st.sampled_from(["optional", "required"]),
    choices=st.sampled_from(["labelled", "bare"]),
    tolerance=st.sampled_from([0.0, 1e-6, 1e-2]),
)


@given(texts, texts, rules)
def test_every_convention_is_symmetric_and_says_why(
    one: str, other: str, rules: Conventions
) -> None:
    verdict, reason = compare(one, other, rules)
    assert compare(other, one, rules).right is verdict
    assert compare(one, one, rules).right is True
    assert reason


@pytest.mark.parametrize(
    ("convention", "one", "other", "verdict"),
    [
        ({"percent": "number"}, "50%", "0.5", False),
        ({"percent": "number"}, "50%", "50", True),
        ({"percent": "fraction"}, "50%", "0.5", True),
        ({"percent": "fraction"}, "50%", "50", False),
        ({"units": "required"}, "5 feet", "5", False),
        ({"units": "required"}, "5 feet", "60 inches", True),
        ({"units": "required"}, "5 apples", "5 fruits", None),
        ({"units": "ignored"}, "5 feet", "5 hours", True),
        ({"lists": "ordered"}, "1, 2", "2, 1", False),
        ({"lists": "ordered"}, "1, 2", "1, 2.0", True),
        ({"lists": "ordered"}, r"\{1, 2\}", r"\{2, 1\}", True),
        ({"assignments": "required"}, "x = 5", "5", False),
        ({"assignments": "required"}, "x = 5", "5 = x", True),
        ({"choices": "bare"}, "C", "(C) 12", None),
        ({"choices": "bare"}, "C", "(C)", True),
        ({"tolerance": 1e-3}, "3.1416", "3.14159", True),
        ({"tolerance": 1e-3}, "0.33", "1/3", False),
        ({"tolerance": 1e-2}, "0.33", "1/3", True),
        ({"tolerance": 0.0}, "0.33333333", "1/3", False),
    ],
)
def test_conventions_can_be_changed(
    convention: dict[str, Any], one: str, other: str, verdict: bool | None
) -> None:
    assert compare(one, other, Conventions(**convention)).right is verdict
    assert compare(other, one, Conventions(**convention)).right is verdict


def test_a_tolerance_is_a_small_share() -> None:
    for tolerance in (-0.1, 1.0):
        with pytest.raises(ValueError, match="tolerance"):
            Conventions(tolerance=tolerance)


@given(numbers)
def test_a_number_equals_itself_in_every_notation(value: Fraction) -> None:
    written = list(notations(value))
    for one in written:
        for other in written:
            assert equal(one, other) is True, (one, other)


@given(numbers, numbers)
def test_different_numbers_differ_in_every_notation(one: Fraction, other: Fraction) -> None:
    for left in notations(one):
        for right in notations(other):
            if not left.endswith("%") and not right.endswith("%"):
                assert equal(left, right) is (one == other)


@given(st.integers(-(10**30), 10**30), st.integers(-(10**30), 10**30))
def test_large_integers_are_not_approximated(one: int, other: int) -> None:
    assert equal(f"{one:,}", str(other)) is (one == other)


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [
        ("1e3", "1000", True),
        (r"0.\overline{3}", "1/3", True),
        (r"-2.1\overline{6}", "-13/6", True),
        (r".35625", r"0.\overline{35625}", False),
        ("2 feet", "24 inches", True),
        (r"3\text{ m}^2", r"30000\text{ cm}^2", True),
        (r"3\text{ m}^2", r"3\text{ m}", False),
        ("5 minutes", "5 hours", False),
        (r"\$0.50", "50 cents", True),
        ("12 apples", "12 fruits", True),
        ("C", "(C) 12", True),
        ("D", "C. 12", False),
        ("33.3333333%", "1/3", True),
        (r"1.5 \times 10^3", "1500", True),
        ("3.54e-07", "3.54*10^{-7}", True),
        (r"918\frac{1}{2}", "918.5", True),
        (r"2\frac{3}{2}", "3.5", None),
        ("0.3333333", r"\frac13", True),
        ("0.333", r"\frac13", False),
        ("0.333...", r"\frac13", True),
        ("0.333...", "0.34", False),
        ("0.333...", "0.333", None),
        ("5...", "5", True),
        ('"5"', "5", True),
        ("17.999999999999996", "18", True),
        ("16386.16", "16386.17", False),
        ("8333333.4", "8333333", False),
        ("3.1416", "3.14159", False),
        ("50%", "50", True),
        ("50%", "0.5", True),
        ("50", "0.5", False),
        ("0.5%", "50", False),
        ("10 feet", "10", True),
        ("10 feet", "10 meters", False),
        (r"\$36", "36", True),
        ("(2, 1)", "(1, 2)", False),
        ("(1,2)", "(1.0, 4/2)", True),
        ("[0,1)", "(0,1)", False),
        ("(1,2)", "(1,2,3)", False),
        ("(1;2), (3;4)", "(3,4), (1,2)", True),
        ("(1,5; 2)", "(1, 5, 2)", False),
        (r"\{3, 2, 1\}", r"\{1,2,3\}", True),
        ("1, 2", "3, 1", False),
        ("(1,2),(3,4)", "(3,4), (1,2)", True),
        ("White", "white", True),
        (r"\text{(C)}", "C", True),
        ("A", r"\text{B}", False),
        ("12_3", "12_{3}", True),
        ("12_3", "21_3", False),
        ("12_3", "12", None),
        ("x=5", "y=5", None),
        (r"\sqrt{8}", r"2\sqrt{2}", None),
        ("x+1", "1+x", None),
        ("odd", "oddd", None),
        ("1/0", "1/0 ", True),
        ("1/0", "5", None),
        ("", "5", False),
        ("7", "7 factorial", None),
        ("5", "5 million", False),
        ("5000000", "5 million", True),
        ("x" * (LONGEST + 1), "x", False),
    ],
)
def test_verdicts(one: str, other: str, verdict: bool | None) -> None:
    assert equal(one, other) is verdict
    assert equal(other, one) is verdict


@pytest.mark.parametrize("hostile", ["\\frac", "(", "{", "(1,", "\\,", "9", "1,", " ", "\\text{a"])
def test_the_longest_answers_take_milliseconds(hostile: str) -> None:
    text = ("5" + hostile * LONGEST)[:LONGEST]
    started = time.process_time()
    assert equal(text, text[:-1]) is not True or hostile in " \\,1,"
    assert time.process_time() - started < 0.5


def test_parsable() -> None:
    assert parsable(r"\frac{1}{2}")
    assert parsable(r"\{1\}")
    for answer in ["", " ", "$$", r"\frac{1", "1}", "x" * (LONGEST + 1)]:
        assert not parsable(answer), answer


def test_items_come_apart_at_the_outermost_commas() -> None:
    assert items("(1, f(2, 3), {4, 5})") == ("(", ("1", "f(2, 3)", "{4, 5}"), ")")
    assert items("(1, 2), (3, 4)") == ("", ("(1, 2)", "(3, 4)"), "")
    assert items("[0, 1)") == ("[", ("0", "1"), ")")
    assert items(r"\{7\}") == (r"\{", ("7",), r"\}")
    assert items("(x+1)") is None
    assert items("42") is None


@shared
def test_no_certain_verdict_on_the_equivalence_set_is_wrong() -> None:
    certain = 0
    for line in (DATA / "equivalence/test.jsonl").read_text().splitlines():
        pair = json.loads(line)
        if pair["policy"] or pair["hostile"] or pair["disputed"]:
            continue
        gold, answer = pair["gold"], pair["prediction"]
        if pair["kind"] != "answer":  # free text
            if pair["id"] == "equivalence/0356":  # boxes two intermediate results
                continue
            gold = extract(gold) or gold
            answer = read(answer, gold, guess=True) or ""
        verdict = equal(gold, answer)
        certain += verdict is not None
        assert verdict in (None, pair["expected"]), (gold, answer)
    assert certain >= 340  # of 442


@shared
@pytest.mark.parametrize(
    "name",
    [
        "gsm8k/train.jsonl.gz",
        "gsm8k/test.jsonl",
        "math/train.jsonl.gz",
        "math500/test.jsonl",
        "olympiadbench_math/test.jsonl",
    ],
)
def test_every_gold_answer_equals_itself_boxed(name: str) -> None:
    for problem in read_problems(DATA / name):
        boxed = extract(f"Hence $\\boxed{{{problem.answer}}}$.")
        assert boxed is not None and equal(problem.answer, boxed) is True, problem
        assert equal(problem.answer, f" ${problem.answer}$") is True, problem


@shared
def test_recorded_grades_are_given_again() -> None:
    recorded = DATA / "recorded"
    for name, least in (("gsm8k_model_solutions", 1.0), ("qwen_math_cot_100", 0.988)):
        agree, total = 0, 0
        for line in (recorded / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            solution = json.loads(line)
            answer = extract("\n\n".join(solution["steps"]))
            right = answer is not None and equal(solution["answer"], answer) is True
            agree += right == solution["correct"]
            total += 1
        assert agree / total >= least, name

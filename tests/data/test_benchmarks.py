"""The answers that benchmarks define, against public data where it lies beside the project."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from whorl.answer import normalise, parsable
from whorl.data import benchmarks
from whorl.data.benchmarks import BENCHMARKS
from whorl.data.hub import load
from whorl.data.rows import BadRow
from whorl.errors import UserError

DATA = Path(__file__).parents[3] / "shared" / "data"
beside = pytest.mark.skipif(not DATA.is_dir(), reason="no public data beside the project")


def records(name: str) -> Iterator[dict[str, Any]]:
    with (gzip.open if name.endswith("gz") else open)(DATA / name, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


@beside
@pytest.mark.parametrize(
    ("name", "split", "count", "known"),
    [
        ("gsm8k", "train", 7473, {"gsm8k/train/0": "72", "gsm8k/train/1": "10"}),
        ("gsm8k", "test", 1319, {"gsm8k/test/0": "18", "gsm8k/test/1": "3"}),
        ("math", "train", 7500, {"math/train/algebra/3": "8+4i"}),
        ("math", "test", 5000, {"math/test/algebra/2": r"\frac{1}{2}"}),
        ("math500", "test", 500, {"math500/test/intermediate_algebra/1994": "p - q"}),
        ("collegemath", "test", 2818, {"collegemath/test/0": "10-4 n"}),
        ("deepmind_mathematics", "test", 1000, {"deepmind_mathematics/test/1": "[3]"}),
        ("olympiadbench_math", "test", 675, {"olympiadbench_math/test/1606": "2"}),
        ("svamp", "test", 1000, {"svamp/test/chal-1": "51"}),
        ("mawps", "test", 2065, {"mawps/test/0": "43"}),
        ("aqua", "dev", 254, {"aqua/dev/0": "A", "aqua/dev/1": "D"}),
        ("aqua", "test", 254, {"aqua/test/1": "E"}),
        ("aime_1983_2023", "train", 975, {"aime_1983_2023/1983-1-1": "60"}),
    ],
)
def test_copies_of_public_sets_read(
    name: str, split: str, count: int, known: dict[str, str]
) -> None:
    skipped: list[tuple[int, str]] = []
    found = {
        problem.id: problem
        for problem in load(name, split=split, at=DATA, on_skip=lambda *row: skipped.append(row))
    }
    assert (len(found), skipped) == (count, [])
    assert {id: found[id].answer for id in known} == known
    assert all(parsable(problem.answer) for problem in found.values())


@beside
@pytest.mark.parametrize("name", ["gsm8k/train.jsonl.gz", "gsm8k/test.jsonl"])
def test_gsm8k_ends_with_its_number(name: str) -> None:
    for record in records(name):
        assert benchmarks.hashed({"answer": record["solution"]}, "answer") == record["answer"]


@beside
@pytest.mark.parametrize("name", ["math/train.jsonl.gz", "math/test.jsonl", "math500/test.jsonl"])
def test_math_ends_with_its_last_box(name: str) -> None:
    for record in records(name):
        expected = "" if "answer_note" in record else record["answer"].strip()
        assert benchmarks.boxed(record, "solution") == expected


@beside
def test_dollars_round_the_whole_are_no_part_of_an_answer() -> None:
    for record in records("collegemath/test.jsonl"):
        assert benchmarks.undollared(record, "answer_raw") == record["answer"]
    for record in records("olympiadbench_math/test.jsonl"):
        row = {"final_answer": [record["answer_raw"]]}
        assert benchmarks.listed(row, "final_answer") == record["answer"]


@beside
@pytest.mark.parametrize("split", ["dev", "test"])
def test_aqua_asks_for_a_letter_and_shows_what_each_stands_for(split: str) -> None:
    for record in records(f"aqua/{split}.jsonl"):
        question, _, _ = record["question"].partition("\nAnswer choices:")
        row = {"question": question, "options": record["options"]}
        assert benchmarks.optioned(row, "question") == record["question"]
        assert normalise(f"({record['answer']})").strip("()") == record["answer"]


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        (r"$\boxed{1}$ or $\boxed{\frac{2}{3}}$", r"\frac{2}{3}"),
        (r"so \fbox{ 7 }.", "7"),
        (r"it is $\boxed 9$.", "9"),
        (r"$\boxed{\{1, 2\}}$", r"\{1, 2\}"),
        (r"$\boxed{\text{a } \{}$", r"\text{a } \{"),
    ],
)
def test_the_last_box(solution: str, answer: str) -> None:
    assert benchmarks.boxed({"s": solution}, "s") == answer


@pytest.mark.parametrize(
    ("read", "row", "why"),
    [
        (benchmarks.boxed, {"x": "It is 2."}, "no box in 'x'"),
        (benchmarks.boxed, {"x": r"It is \boxed{2."}, "not closed"),
        (benchmarks.hashed, {"x": "It is 2."}, "no ####"),
        (benchmarks.stated, {"x": "It is 2."}, 'no "The answer is:"'),
        (benchmarks.numina, {"x": "proof"}, "a proof"),
        (benchmarks.numina, {"x": "2", "question_type": "proof"}, "a proof"),
        (benchmarks.numina, {"x": "2", "problem_is_valid": "Incomplete"}, "no valid problem"),
        (benchmarks.pictured, {"x": "2", "Picture": {"bytes": b""}}, "it needs its picture"),
    ],
)
def test_a_row_without_such_an_answer_is_no_problem(
    read: benchmarks.Read, row: dict[str, Any], why: str
) -> None:
    with pytest.raises(BadRow, match=why):
        read(row, "x")


def test_stories_lists_and_bytes() -> None:
    story = {"Body": "Dan had $ 3", "Question": "How much now?"}
    assert benchmarks.bodied(story, "Question") == "Dan had $ 3. How much now?"
    assert benchmarks.listed({"a": ["$69$", "$84$"]}, "a") == "69, 84"
    assert benchmarks.stated({"a": r"$\boxed{1}$. The answer is: 2"}, "a") == "2"
    assert benchmarks.undone({"a": r"b'Solve 0 = -4*x.\n'"}, "a") == "Solve 0 = -4*x."
    assert benchmarks.undone({"a": "Solve 0 = -4*x."}, "a") == "Solve 0 = -4*x."
    assert benchmarks.hashed({"a": "3*400 = 1200\n#### 1,200"}, "a") == "1200"


@pytest.mark.parametrize(
    ("name", "near"), [("gsm-8k", "gsm8k"), ("MATH-500", "math500"), ("numina-math", "numinamath")]
)
def test_an_unknown_name_brings_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UserError, match=f"did you mean {near}\\? There are: gsm8k, math, "):
        benchmarks.find(name)


def test_columns_that_are_gone_are_named() -> None:
    with pytest.raises(UserError, match="openai/gsm8k has no column 'answer' any more; there are"):
        BENCHMARKS["gsm8k"].problem({"question": "?", "target": "1"}, "train", "main", 0)

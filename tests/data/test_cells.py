"""How cells of data sets read, against public data where it lies beside the project."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from whorl.answer import normalise
from whorl.data import cells
from whorl.data.rows import BadRow

DATA = Path(__file__).parents[3] / "shared" / "data"
beside = pytest.mark.skipif(not DATA.is_dir(), reason="no public data beside the project")


def records(name: str) -> Iterator[dict[str, Any]]:
    with (gzip.open if name.endswith("gz") else open)(DATA / name, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


@beside
@pytest.mark.parametrize("name", ["gsm8k/train.jsonl.gz", "gsm8k/test.jsonl"])
def test_gsm8k_ends_with_its_number(name: str) -> None:
    for record in records(name):
        assert cells.after_hashes({"answer": record["solution"]}, "answer") == record["answer"]


@beside
@pytest.mark.parametrize("name", ["math/train.jsonl.gz", "math/test.jsonl", "math500/test.jsonl"])
def test_math_ends_with_its_last_box(name: str) -> None:
    for record in records(name):
        expected = "" if "answer_note" in record else record["answer"].strip()
        assert cells.last_box(record, "solution") == expected


@beside
def test_dollars_round_the_whole_are_no_part_of_an_answer() -> None:
    for record in records("collegemath/test.jsonl"):
        assert cells.without_dollars(record, "answer_raw") == record["answer"]
    for record in records("olympiadbench_math/test.jsonl"):
        row = {"final_answer": [record["answer_raw"]]}
        assert cells.answer_list(row, "final_answer") == record["answer"]


@beside
@pytest.mark.parametrize("split", ["dev", "test"])
def test_aqua_asks_for_a_letter_and_shows_what_each_stands_for(split: str) -> None:
    for record in records(f"aqua/{split}.jsonl"):
        question, _, _ = record["question"].partition("\nAnswer choices:")
        row = {"question": question, "options": record["options"]}
        assert cells.with_options(row, "question") == record["question"]
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
    assert cells.last_box({"s": solution}, "s") == answer


@pytest.mark.parametrize(
    ("read", "row", "why"),
    [
        (cells.last_box, {"x": "It is 2."}, "no box in 'x'"),
        (cells.last_box, {"x": r"It is \boxed{2."}, "not closed"),
        (cells.after_hashes, {"x": "It is 2."}, "no ####"),
        (cells.after_answer_is, {"x": "It is 2."}, 'no "The answer is:"'),
        (cells.numina_answer, {"x": "proof"}, "a proof"),
        (cells.numina_answer, {"x": "2", "question_type": "proof"}, "a proof"),
        (cells.numina_answer, {"x": "2", "problem_is_valid": "Incomplete"}, "no valid problem"),
        (cells.without_picture, {"x": "2", "Picture": {"bytes": b""}}, "it needs its picture"),
    ],
)
def test_a_row_without_such_an_answer_is_no_problem(
    read: cells.Read, row: dict[str, Any], why: str
) -> None:
    with pytest.raises(BadRow, match=why):
        read(row, "x")


def test_stories_lists_and_bytes() -> None:
    story = {"Body": "Dan had $ 3", "Question": "How much now?"}
    assert cells.with_body(story, "Question") == "Dan had $ 3. How much now?"
    assert cells.answer_list({"a": ["$69$", "$84$"]}, "a") == "69, 84"
    assert cells.after_answer_is({"a": r"$\boxed{1}$. The answer is: 2"}, "a") == "2"
    assert cells.unquoted({"a": r"b'Solve 0 = -4*x.\n'"}, "a") == "Solve 0 = -4*x."
    assert cells.unquoted({"a": "Solve 0 = -4*x."}, "a") == "Solve 0 = -4*x."
    assert cells.after_hashes({"a": "3*400 = 1200\n#### 1,200"}, "a") == "1200"

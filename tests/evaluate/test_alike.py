"""Evaluations whose problems share ids and are others, and such that only look as if."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from whorl.data.content import content
from whorl.data.problems import write_problems
from whorl.errors import UserError
from whorl.evaluate import Attempt, Place, Record, write_records
from whorl.evaluate.alike import Asked, check_alike
from whorl.evaluate.table import table
from whorl.problem import Problem

ONES = [Problem(str(n), f"What is {n} + 1?", str(n + 1)) for n in range(3)]
TWOS = [Problem(str(n), f"What is {n} + 2?", str(n + 2)) for n in range(3)]


def evaluated(folder: Path, name: str, problems: Sequence[Problem], ending: str = "") -> Path:
    """A file of scores of problems, which are written in a file of their own."""
    asked = folder / f"{name}-problems.jsonl{ending}"
    write_problems(asked, problems)
    place = Place(folder / f"{name}.jsonl")
    place.begin({"problems": content(asked)})
    records = (Record(p, (Attempt("1", "1", 1.0, "", "eos", 1),)) for p in problems)
    place.end(write_records(place.attempts, records))
    return place.scores


def test_ids_do_not_make_problems_the_same(tmp_path: Path) -> None:
    one, two = evaluated(tmp_path, "one", ONES), evaluated(tmp_path, "two", TWOS)
    complaint = r"one\.jsonl and .*two\.jsonl are not of the same problems: '0' has another"
    with pytest.raises(UserError, match=complaint):
        check_alike(Asked.of_scores(one), Asked.of_scores(two))
    with pytest.raises(UserError, match="evaluate both on one file"):
        check_alike(Asked.of_scores(one), Asked.of_file(tmp_path / "two-problems.jsonl"))
    with pytest.raises(UserError, match="not of the same problems"):
        table(before=one, after=two)
    corrected = [*ONES[:2], Problem("2", ONES[2].question, "4")]
    with pytest.raises(UserError, match="'2' has another question or answer"):
        table(before=one, after=evaluated(tmp_path, "corrected", corrected))


def test_a_file_that_is_packed_sorted_or_cut_is_of_the_same_problems(tmp_path: Path) -> None:
    one = Asked.of_scores(evaluated(tmp_path, "one", ONES))
    plainer = [Problem(p.id, p.question.lower().strip("?"), p.answer, level="3") for p in ONES]
    for name, problems, ending in (
        ("packed", ONES, ".gz"),
        ("sorted", ONES[::-1], ""),
        ("cut", ONES[1:], ""),
        ("plainer", plainer, ""),
    ):
        other = evaluated(tmp_path, name, problems, ending)
        check_alike(one, Asked.of_scores(other))
        check_alike(one, Asked.of_file(tmp_path / f"{name}-problems.jsonl{ending}"))


def test_without_the_texts_digests_decide_and_without_digests_ids(tmp_path: Path) -> None:
    one, two = evaluated(tmp_path, "one", ONES), evaluated(tmp_path, "two", TWOS)
    same = evaluated(tmp_path, "again", ONES)
    Place(one).attempts.unlink()
    check_alike(Asked.of_scores(one), Asked.of_scores(same))  # of one content, called otherwise
    with pytest.raises(UserError, match=r"one\.attempts\.jsonl, which would say .* is not there"):
        check_alike(Asked.of_scores(one), Asked.of_scores(two))
    Place(one).setup.unlink()
    check_alike(Asked.of_scores(one), Asked.of_scores(two))  # made by hand: nothing is known

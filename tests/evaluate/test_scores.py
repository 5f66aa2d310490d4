"""Evaluations on disk: scores, records to open, and an evaluation that goes on."""

import json
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.data.atomic import replacing
from whorl.errors import UserError
from whorl.evaluate import (
    Attempt,
    Place,
    Record,
    Score,
    in_order,
    read_records,
    read_scores,
    score_of,
    write_records,
    write_scores,
)
from whorl.problem import Problem

TEXT = st.text(max_size=20)
ATTEMPTS = st.builds(
    Attempt,
    TEXT,
    st.none() | TEXT,
    st.sampled_from([1.0, 0.0, None]),
    TEXT,
    st.sampled_from(["stop", "eos", "length"]),
    st.integers(0, 9),
)
RECORDS = st.builds(
    Record,
    st.builds(Problem, id=TEXT.filter(bool), question=TEXT.filter(bool), answer=TEXT.filter(bool)),
    st.lists(ATTEMPTS, max_size=3).map(tuple),
    TEXT,
)


def test_scores_survive_the_disk_in_an_order_of_their_own(tmp_path: Path) -> None:
    found = [
        Score("b", "2", (1.0, None), ("½", None), cut=1, subject="algebra"),
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
    write_scores(path, [Score("a", "", (1.0,), ("4",))])
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(UserError, match=r"scores\.jsonl:2: "):
        read_scores(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_scores(tmp_path / "none.jsonl")


def test_scores_of_before_there_were_subjects_still_read(tmp_path: Path) -> None:
    old = '{"id":"a","level":"2","right":[1.0],"answers":["4"],"cut":0,"error":""}'
    (tmp_path / "old.jsonl").write_text(old + "\n")
    assert read_scores(tmp_path / "old.jsonl") == [Score("a", "2", (1.0,), ("4",))]


@given(st.lists(RECORDS, max_size=4))
def test_records_survive_the_disk(tmp_path_factory: pytest.TempPathFactory, records) -> None:
    path = tmp_path_factory.getbasetemp() / "records.jsonl"
    assert write_records(path, records) == list(map(score_of, records))
    assert list(read_records(path)) == records
    for line in path.read_text().splitlines():
        assert {each["verdict"] for each in json.loads(line)["attempts"]} <= {
            *("right", "wrong", "undecided")
        }


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"id":"a","attempts":[{"verdict":"so"}]}'])
def test_a_bad_record_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(UserError, match=r"records\.jsonl:1: not a record"):
        list(read_records(path))


def test_records_come_in_order_whatever_order_they_end_in() -> None:
    records = [Record(Problem(name, "?", "1"), ()) for name in "abcd"]
    for ended in permutations(records):
        given_out = []
        for taken, record in enumerate(in_order(iter(ended), "abcd"), start=1):
            assert taken <= len(records)
            given_out.append(record)
        assert given_out == records


def test_an_evaluation_is_bound_to_what_it_depends_on(tmp_path: Path) -> None:
    place = Place(tmp_path / "scores.jsonl")
    said = {"model": "local:m 1", "setup": {"decoding": {"n": 8}}, "about": {"model": "m"}}
    assert not place.begin({"model": "local:mistyped"})  # nothing was asked yet
    assert not place.begin(said)
    place.journal.touch()
    assert not place.begin(said | {"about": {"model": "elsewhere/m"}})
    other = said | {"setup": {"decoding": {"n": 4}}}
    with pytest.raises(UserError, match=r"\(setup\.decoding\.n: 4 here, 8 there\)"):
        place.begin(other)
    failed = [Score("a", "", (), (), error="policy: no")]
    place.end(failed)
    assert read_scores(place.scores) == failed
    assert not place.begin(said)  # what failed is asked again
    place.end([Score("a", "", (1.0,), ("4",))])
    assert place.begin(said) and not place.journal.exists()
    with pytest.raises(UserError, match="another evaluation"):
        place.begin(other)


def test_scores_of_unknown_making_are_not_written_over(tmp_path: Path) -> None:
    place = Place(tmp_path / "scores.jsonl")
    write_scores(place.scores, [Score("a", "", (1.0,), ("4",))])
    with pytest.raises(UserError, match=r"scores\.jsonl exists and is of no evaluation"):
        place.begin({"model": "m"})
    assert len(read_scores(place.scores)) == 1


def test_scores_of_a_name_that_is_no_longer_given_go_on(tmp_path: Path) -> None:
    """`s` and `s.jsonl` have the same files beside them. What lies under `s` is read and goes on,
    and neither writes over the other's."""
    old, new, said = Place(tmp_path / "s"), Place(tmp_path / "s.jsonl"), {"model": "m"}
    assert not old.begin(said)
    old.journal.touch()
    with pytest.raises(UserError, match=r"give --out .*s\.jsonl; it goes on with what was asked"):
        old.check_name()
    assert not new.begin(said) and new.journal.exists()  # as it says
    with replacing(old.attempts) as file:
        file.write(b"")
    old.end([Score("a", "", (1.0,), ("4",))])
    old.check_name()
    assert old.begin(said) and old.complete
    with pytest.raises(UserError, match=r"s\.attempts\.jsonl is of the scores .*/s; choose an"):
        new.begin(said | {"model": "n"})
    assert old.said() == said

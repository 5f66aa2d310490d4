"""Rows of JSON lines, CSV, TSV and Parquet: read as they are, and what is broken is named."""

import gzip
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from whorl.data.problems import read_problems
from whorl.data.rows import BadRow, cell, read_rows
from whorl.errors import UserError
from whorl.problem import Problem

RECORD = {"question": '1 + 1 = "?"\nSay it, please.', "answer": "0.10", "level": "3"}
TEXT = 'question,answer,level\n"1 + 1 = ""?""\nSay it, please.",0.10,3\n'


def test_every_form_gives_the_same_rows(tmp_path: Path) -> None:
    comma, tab = tmp_path / "p.csv", tmp_path / "p.tsv"
    comma.write_text("\ufeff" + TEXT)
    tab.write_text(TEXT.replace("please.", "please").replace(",", "\t").replace("it\t", "it,"))
    packed = tmp_path / "p.csv.gz"
    packed.write_bytes(gzip.compress(TEXT.encode()))
    table = tmp_path / "p.parquet"
    parquet.write_table(pa.Table.from_pylist([RECORD]), table)
    assert list(read_rows(comma)) == list(read_rows(packed)) == [(2, RECORD)]
    assert list(read_rows(table)) == [(1, RECORD)]
    ((number, row),) = read_rows(tab)
    assert number == 2 and not isinstance(row, BadRow) and row["level"] == "3"


def test_what_is_wrong_with_a_row_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(
        b'question,answer\n"two\nlines",2\n1+1?,2,3\n\n\xff?,2\n' + b"x" * 200_000 + b",1\n4?,4\n"
    )
    rows = dict(read_rows(path))
    assert rows.keys() == {2, 4, 6, 7, 8}
    assert rows[2] == {"question": "two\nlines", "answer": "2"}
    assert rows[8] == {"question": "4?", "answer": "4"}
    assert str(rows[4]) == "3 fields, and there are 2 columns"
    assert str(rows[6]) == "not UTF-8; save the file as UTF-8"
    assert "broken CSV" in str(rows[7])
    with pytest.raises(UserError, match="line 4: 3 fields, and there are 2 columns"):
        list(read_problems(path))


fields = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(fields, fields.filter(bool)), min_size=1, max_size=5))
def test_what_csv_writes_is_read(tmp_path: Path, pairs: list[tuple[str, str]]) -> None:
    import csv

    path = tmp_path / "p.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerows([("question", "answer"), *pairs])
    found = [row for _, row in read_rows(path)]
    assert found == [dict(zip(("question", "answer"), pair, strict=True)) for pair in pairs]


def test_numbers_of_parquet_are_written_as_people_write_them() -> None:
    row = {"a": 51.0, "b": 2.5, "c": float("nan"), "d": 7, "e": None, "f": True, "g": [1]}
    assert [cell(row, name) for name in "abcdez"] == ["51", "2.5", "", "7", "", ""]
    for name in "fg":
        with pytest.raises(BadRow, match=f"'{name}' is neither text nor a number"):
            cell(row, name)


def test_columns_are_named_by_the_user(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text(
        "key,problem text,solution\n"
        "a,1+1?,so it is 2 #### 2\nb,1+2?,so $\\boxed{3}$\nc,1+3?,The answer is 4.\nd,1+4?,5\n"
    )
    named = {"id": "key", "question": "problem text", "answer": "solution"}
    assert list(read_problems(path, fields=named)) == [
        Problem("a", "1+1?", "2"),
        Problem("b", "1+2?", "3"),
        Problem("c", "1+3?", "4"),
        Problem("d", "1+4?", "5"),
    ]
    with pytest.raises(UserError, match="no column 'text'; there are key, problem text, solution"):
        list(read_problems(path, fields={"question": "text"}))
    with pytest.raises(UserError, match=r"no question .*there are key, problem text, solution"):
        list(read_problems(path))


def test_a_table_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    path.write_bytes(b"no table")
    with pytest.raises(UserError, match="not a whole Parquet file"):
        list(read_rows(path))
    with pytest.raises(UserError, match="there is no such file"):
        list(read_rows(tmp_path / "none.parquet"))
    (tmp_path / "head.csv").write_text("question,answer\n")
    with pytest.raises(UserError, match="holds no problem"):
        list(read_problems(tmp_path / "head.csv"))


BOMBS = {
    "zeros.jsonl": b"\0" * (8 << 20),
    "line.csv": b"question,answer\n" + b"x" * (8 << 20),
    "row.csv": b"question,answer\n" + b'"a\n",' * (1 << 20),
    "commas.tsv": b"question\tanswer\n" + b"\t" * (8 << 20),
}
"""Files that have one row of some megabytes, or seem to."""


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", BOMBS)
def test_a_row_without_end_is_refused_before_it_takes_memory(
    tmp_path: Path, name: str, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whorl.data.rows.LONGEST", 2 << 20)  # 16 MiB take seconds to trace
    path = tmp_path / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(BOMBS[name], 1) if packed else BOMBS[name])
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=r"line \d+: a row of more than 2 MiB") as caught:
            list(read_rows(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert peak < 50 << 20


def test_parquet_that_unpacks_to_gigabytes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.parquet"
    rows = [{"question": "x" * 1_000_000, "answer": "1"}] * 64
    parquet.write_table(pa.Table.from_pylist(rows), path, use_dictionary=False)
    assert path.stat().st_size < 4 << 20
    assert len(list(read_rows(path))) == 64
    monkeypatch.setattr("whorl.data.rows._GROUP", 32 << 20)
    with pytest.raises(UserError, match="a row group of more than"):
        list(read_rows(path))


def test_a_table_with_semicolons_is_read(tmp_path: Path) -> None:
    """Spreadsheets write them where the comma is the decimal sign."""
    path = tmp_path / "t.csv"
    path.write_text("question;answer\n1,5 + 1?;2,5\n")
    assert list(read_rows(path)) == [(2, {"question": "1,5 + 1?", "answer": "2,5"})]
    path.write_text("question,answer\na;b,c\n")
    assert list(read_rows(path)) == [(2, {"question": "a;b", "answer": "c"})]

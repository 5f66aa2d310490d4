"""`whorl problems`: made up, from a file, from a data set; filtered, with a list of what went."""

import json
from pathlib import Path

import pytest

from whorl.data.problems import read_problems, write_problems
from whorl.evaluate import Score, write_scores
from whorl.problem import Problem

DATA = Path(__file__).parents[3] / "shared" / "data"
LONG = (
    "A farmer counts his sheep in the evening and finds that {} of them are missing from the "
    "northern meadow, while the southern meadow holds {} more than it did. How many are there?"
)


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    """Six problems of three levels; p3 and p4 differ in a word."""
    path = tmp_path / "pool.jsonl"
    texts = ["1+1?", "1+2?", LONG.format(3, 4), LONG.format(5, 6)]
    texts += [texts[3].replace("evening", "morning"), "1+3?"]
    write_problems(
        path, [Problem(f"p{k}", text, str(k), level=str(k // 2)) for k, text in enumerate(texts)]
    )
    return path


def ids(path: Path) -> list[str]:
    return [problem.id for problem in read_problems(path)]


def refused(result) -> str:
    assert result.exit_code == 2, result.output
    line = result.stderr.strip()
    assert line.startswith("error: ") and "\n" not in line
    return line


def test_a_file_with_columns_of_its_own(whorl, tmp_path: Path) -> None:
    source, out = tmp_path / "mine.csv", tmp_path / "out.jsonl"
    source.write_text('problem text,solution\n1+1?,so it is #### 2\n1+2?\n"1+3?","$\\boxed{4}$"\n')
    named = ("--from", source, "--out", out, "--map", "question=problem text,answer=solution")
    assert "mine.csv, line 3: 1 fields, and there are 2 columns" in refused(
        whorl("problems", *named)
    )
    assert not out.exists()
    done = whorl("problems", *named, "--skip-bad")
    assert done.exit_code == 0, done.output
    assert [(p.id, p.question, p.answer) for p in read_problems(out)] == [
        ("mine:2", "1+1?", "2"),
        ("mine:4", "1+3?", "4"),
    ]
    assert "no problem: 1 fields, and there are 2 columns: 1, the first in line 3" in done.stderr
    assert f"wrote {out}: 2 problems of {source}" in done.stderr


def test_filters_say_what_went_and_why(whorl, pool: Path, tmp_path: Path) -> None:
    test, scores, out = (tmp_path / name for name in ("test.jsonl", "scores.jsonl", "out.jsonl"))
    start = " ".join(LONG.format(3, 4).split()[:13])
    write_problems(test, [Problem("t0", f"Yes: {start}.", "1"), Problem("t1", "1 + 2", "3")])
    write_scores(
        scores,
        [
            Score("p0", "", (1.0, 1.0), ("2", "2")),
            *(Score(f"p{k}", "", (1.0, 0.0, None, 0.0), (None,) * 4) for k in (1, 2, 3, 4)),
            Score("p5", "", (), (), error="it failed"),
        ],
    )
    done = whorl(
        *("problems", "--from", pool, "--out", out, "--against", test, "--near-duplicates"),
        *("--scores", scores, "--pass-rate", "0.1:0.9"),
    )
    assert done.exit_code == 0, done.output
    assert ids(out) == ["p3"]
    lines = (tmp_path / "out.dropped.jsonl").read_text().splitlines()
    assert {line["id"]: line["why"] for line in map(json.loads, lines)} == {
        "p0": "pass rate above 0.1:0.9",
        "p1": "the text of a test problem",
        "p2": "13 words of a test problem",
        "p4": "nearly repeats another problem",
        "p5": "no score",
    }
    assert f"compared with {test}: 2 problems" in done.stderr
    assert "dropped: 13 words of a test problem: 1" in done.stderr
    assert "5 problems that were dropped, and why" in done.stderr


def test_an_overlap_can_be_asked_for(whorl, pool: Path, tmp_path: Path) -> None:
    test, out = tmp_path / "test.jsonl", tmp_path / "out.jsonl"
    write_problems(test, [Problem("t", LONG.format(1, 2), "1")])
    asked = ("problems", "--from", pool, "--out", out, "--against", test)
    assert whorl(*asked).exit_code == 0
    assert ids(out) == ["p0", "p1", "p5"]
    assert whorl(*asked, "--overlap", "0.9").exit_code == 0
    assert ids(out) == ["p0", "p1", "p2", "p3", "p4", "p5"]


def test_levels_and_samples(whorl, pool: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    asked = ("problems", "--from", pool, "--out", out)
    assert whorl(*asked, "--level", "0", "--level", "2").exit_code == 0
    assert ids(out) == ["p0", "p1", "p4", "p5"]
    assert not (tmp_path / "out.dropped.jsonl").exists()
    assert whorl(*asked, "-n", "2").exit_code == 0
    two = ids(out)
    assert whorl(*asked, "-n", "3").exit_code == 0
    assert len(two) == 2 and set(two) < set(ids(out)) and len(ids(out)) == 3
    assert "no problems of level 9; levels: 0, 1, 2" in refused(whorl(*asked, "--level", "9"))


def test_what_cannot_be_is_one_line(whorl, pool: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    for arguments, why in [
        (["--from", "mth"], "no data set 'mth'; did you mean math? There are: gsm8k, math"),
        (["--from", tmp_path / "none.csv"], "there is no such file"),
        (["--from", pool, "--map", "question=text"], "no column 'text'; there are id, question"),
        (["--from", pool, "--map", "text=question"], "FIELD=COLUMN is expected; fields: id"),
        (["--from", pool, "--split", "test"], "--split and --at are for data sets"),
        (["--from", "math", "--at", tmp_path], "holds neither math/train.jsonl nor a clone"),
        (["--from", "math", "--map", "id=x"], "are for files, and math is a data set"),
        (["--from", pool, "--against", "tst"], "no data set 'tst'"),
        (["--from", pool, "--against", pool], "no problem is left; compared with"),
        (["--from", pool, "--scores", pool], "--scores and --pass-rate go together"),
        (["--from", pool, "--pass-rate", "0:1"], "--scores and --pass-rate go together"),
        (["--from", pool, "--scores", pool, "--pass-rate", "9:1"], "two shares are expected"),
        (["--from", pool, "--scores", pool, "--pass-rate", "0:1"], "not a line of scores"),
        (["--from", pool, "--overlap", "0.5"], "--overlap is for --against"),
        (["--split", "tst"], "no split 'tst'; there are test, dev, pool, pretrain"),
        (["--level", "easy"], "levels are numbers from 1 to 5"),
        (["--skip-bad"], "are for a file or a data set; name it with --from"),
        (["--at", tmp_path], "are for a file or a data set; name it with --from"),
    ]:
        assert why in refused(whorl("problems", "--out", out, *arguments))
        assert not out.exists()


@pytest.mark.skipif(not DATA.is_dir(), reason="no public data beside the project")
def test_a_data_set_without_what_is_in_a_test_set(whorl, tmp_path: Path) -> None:
    out = tmp_path / "math.jsonl"
    done = whorl(
        *("problems", "--from", "math", "--split", "train", "--at", DATA, "--out", out),
        *("--against", "math500", "--against", "gsm8k:test", "--level", "5"),
    )
    assert done.exit_code == 0, done.output
    assert "compared with math500: 500 problems" in done.stderr
    assert "compared with gsm8k:test: 1,319 problems" in done.stderr
    found = list(read_problems(out))
    dropped = (tmp_path / "math.dropped.jsonl").read_text().splitlines()
    assert len(found) + len(dropped) == 2304 and len(dropped) > 30
    assert {problem.level for problem in found} == {"5"}
    assert all("math500/test/" in json.loads(line)["of"] for line in dropped)

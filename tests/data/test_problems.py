"""Reading and writing problem files: good lines stream, bad ones are named."""

import gzip
import json
import os
import re
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whorl.answer import gold_in, parsable
from whorl.data.problems import read_problems, write_problems
from whorl.errors import UserError
from whorl.problem import Problem

DATA = Path(__file__).parents[3] / "shared" / "data"

GOOD = b'{"question": "1+1?", "answer": "2"}'


def file(folder: Path, *lines: bytes, name: str = "p.jsonl") -> Path:
    path = folder / name
    path.write_bytes(b"\n".join(lines))
    return path


def test_fields(tmp_path: Path) -> None:
    path = file(
        tmp_path,
        b'\xef\xbb\xbf{"id": "a", "question": " 1+1? ", "answer": 2, "source": "s", "level": 3}',
        b"",
        '{"id": 7, "problem": "π?", "answer": 3.10, "split": "dev", "other": [1]}'.encode(),
        b'{"question": "Apples?", "answer": "3*6 = <<3*6=18>>18\\n#### 18", "level": null}',
        b'{"problem": "Half?", "solution": "It is $\\\\boxed{\\\\frac{1}{2}}$.", "type": "x"}',
        b'{"question": "Eggs?", "solution": "#### 1,000"}',
    )
    assert list(read_problems(path)) == [
        Problem("a", "1+1?", "2", source="s", level="3"),
        Problem("7", "π?", "3.10", split="dev"),
        Problem("p:4", "Apples?", "18"),
        Problem("p:5", "Half?", r"\frac{1}{2}"),
        Problem("p:6", "Eggs?", "1,000"),
    ]


@pytest.mark.parametrize(
    ("cell", "gold"),
    [
        ("The answer is: 4", "4"),
        ("We add them. The answer is $4$.", "4"),
        ("**Answer:** 4 apples", "4 apples"),
        ("Tuesday", "Tuesday"),
        ("a parabola", "a parabola"),
        ("yes", "yes"),
        ("no real solutions", "no real solutions"),
        ("A: 5", "A: 5"),
        ("There is no solution.", "There is no solution."),
        ("The answer cannot be told.", "The answer cannot be told."),
        ("$f(x) = ax$ for all $a > 0$, where $a$ is an integer that no prime divides", None),
    ],
)
def test_an_answer_in_prose_is_what_it_states(tmp_path: Path, cell: str, gold: str | None) -> None:
    path = file(tmp_path, json.dumps({"question": "?", "answer": cell}).encode())
    assert [problem.answer for problem in read_problems(path)] == [gold or cell]


BAD = [
    (b'{"question": "1+1?", "answer": "2"', "broken JSON at column"),
    (b"{" * 3, "broken JSON"),
    (b"[" * 100_000, "broken JSON"),
    (b'{"question": "1+1?", "answer": NaN}', "NaN is not JSON"),
    (b'["1+1?", "2"]', "not a JSON object"),
    (b'{"question": "\xff", "answer": "2"}', "not UTF-8 at byte 15"),
    (b'{"question": "\\ud800", "answer": "2"}', "half a surrogate pair"),
    (b'{"answer": "2"}', "no question"),
    (b'{"question": "  ", "answer": "2"}', "no question"),
    (b'{"question": ["1+1?"], "answer": "2"}', "'question' is neither text nor a number"),
    (b'{"question": "1+1?"}', "no answer"),
    (b'{"question": "1+1?", "answer": null, "solution": "It is 2."}', "no answer"),
    (b'{"question": "1+1?", "answer": true}', "'answer' is neither text nor a number"),
    (b'{"question": "1+1?", "answer": "$$"}', "the answer cannot be parsed"),
    (b'{"question": "1+1?", "answer": "\\\\frac{1"}', "the answer cannot be parsed"),
    (b'{"question": "1+1?", "answer": "' + b"x" * 3000 + b'"}', "3000 characters, 2000 at most"),
    (b'{"id": "p:1", "question": "1+1?", "answer": "2"}', "the id 'p:1' occurs twice"),
]


@pytest.mark.parametrize(("line", "reason"), BAD, ids=range(len(BAD)))
def test_a_bad_line_is_named_and_can_be_skipped(tmp_path: Path, line: bytes, reason: str) -> None:
    path = file(tmp_path, GOOD, line, GOOD)
    with pytest.raises(UserError) as caught:
        list(read_problems(path))
    message = str(caught.value)
    assert message.startswith(f"{path}, line 2: ") and reason in message
    assert (
        "\n" not in message
        and len(message) < 500
        and ("--skip-bad" in message or "--map" in message)
    )

    skipped: list[tuple[int, str]] = []
    found = list(read_problems(path, skip_bad=True, on_skip=lambda *line: skipped.append(line)))
    assert [problem.id for problem in found] == ["p:1", "p:3"]
    assert [number for number, _ in skipped] == [2] and reason in skipped[0][1]


def test_a_file_without_a_problem_is_refused(tmp_path: Path) -> None:
    for name, content, why in [
        ("empty.jsonl", b"", "it is empty"),
        ("blank.jsonl", b"\n \n", "it is empty"),
        ("bad.jsonl", b"{\n{\n", "all 2 lines are bad, the first: line 1: broken JSON"),
    ]:
        path = file(tmp_path, content, name=name)
        with pytest.raises(UserError, match=why):
            list(read_problems(path, skip_bad=True))


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        list(read_problems(tmp_path / "missing.jsonl"))
    with pytest.raises(UserError, match="is a folder"):
        list(read_problems(tmp_path))
    with pytest.raises(UserError, match="not a whole gzip file"):
        list(read_problems(file(tmp_path, GOOD, name="plain.jsonl.gz")))
    torn = gzip.compress(b"\n".join(b'{"question": "%d?", "answer": 1}' % k for k in range(999)))
    with pytest.raises(UserError, match="not a whole gzip file"):
        list(read_problems(file(tmp_path, torn[:-50], name="torn.jsonl.gz")))


# A cell that marks the answer within it is read for what it marks, not as it stands.
MARKED = re.compile(r"####|\\boxed")
texts = st.text(st.characters(codec="utf-8"), min_size=1).map(str.strip).filter(bool)
problems = st.lists(
    st.builds(
        Problem,
        id=texts,
        question=texts,
        answer=texts.filter(
            lambda answer: (
                parsable(answer) and not MARKED.search(answer) and gold_in(answer) == answer
            )
        ),
        source=texts | st.just(""),
        split=texts | st.just(""),
        level=texts | st.just(""),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda problem: problem.id,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(problems, st.sampled_from(["p.jsonl", "p.jsonl.gz"]))
def test_what_is_written_is_read(tmp_path: Path, written: list[Problem], name: str) -> None:
    path = tmp_path / name
    assert write_problems(path, written) == len(written)
    assert list(read_problems(path)) == written
    before = path.read_bytes()
    write_problems(path, written)
    assert path.read_bytes() == before


def test_a_name_that_would_be_read_as_something_else_is_refused(tmp_path: Path) -> None:
    for name in ("a.csv", "a.tsv.gz", "a.parquet"):
        with pytest.raises(UserError, match="are written as"):
            write_problems(tmp_path / name, [])
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    old = [Problem("a", "1+1?", "2")]
    write_problems(path, old)
    with pytest.raises(ZeroDivisionError):
        write_problems(path, (Problem(str(1 // k), "?", "1") for k in (1, 0)))
    assert list(read_problems(path)) == old
    assert os.listdir(tmp_path) == [path.name]


def test_memory_is_flat(tmp_path: Path) -> None:
    peaks = []
    for count in (1_000, 30_000):
        path = tmp_path / f"{count}.jsonl"
        question = "How many? " * 40
        write_problems(path, (Problem(str(k), question, str(k)) for k in range(count)))
        tracemalloc.start()
        assert sum(1 for _ in read_problems(path)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / 29_000 < 150  # bytes per problem: a digest in a set


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared math data is not beside the repo")
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("gsm8k/train.jsonl.gz", 7473),
        ("gsm8k/test.jsonl", 1319),
        ("math/train.jsonl.gz", 7500),
        ("math500/test.jsonl", 500),
        ("olympiadbench_math/test.jsonl", 675),
    ],
)
def test_public_files_read_as_they_are(name: str, count: int) -> None:
    found = list(read_problems(DATA / name))
    assert len(found) == count
    raw = (gzip.open if name.endswith("gz") else open)(DATA / name, "rb")
    with raw:
        first = json.loads(raw.readline())
    assert (found[0].id, found[0].answer) == (first["id"], first["answer"])

"""The table of data sets, against public data where it lies beside the project."""

from pathlib import Path

import pytest

from whorl.answer import parsable
from whorl.data import benchmarks
from whorl.data.benchmarks import BENCHMARKS
from whorl.data.hub import load_benchmark
from whorl.errors import UserError

DATA = Path(__file__).parents[3] / "shared" / "data"
beside = pytest.mark.skipif(not DATA.is_dir(), reason="no public data beside the project")


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
        for problem in load_benchmark(
            name, split=split, at=DATA, on_skip=lambda *row: skipped.append(row)
        )
    }
    assert (len(found), skipped) == (count, [])
    assert {id: found[id].answer for id in known} == known
    assert all(parsable(problem.answer) for problem in found.values())


@pytest.mark.parametrize(
    ("name", "near"), [("gsm-8k", "gsm8k"), ("MATH-500", "math500"), ("numina-math", "numinamath")]
)
def test_an_unknown_name_brings_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UserError, match=f"did you mean {near}\\? There are: gsm8k, math, "):
        benchmarks.find_benchmark(name)


def test_columns_that_are_gone_are_named() -> None:
    with pytest.raises(UserError, match="openai/gsm8k has no column 'answer' any more; there are"):
        BENCHMARKS["gsm8k"].problem({"question": "?", "target": "1"}, "train", "main", 0)

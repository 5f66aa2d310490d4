"""Data sets in the layout that the hub has, loaded by `datasets` from folders made here."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from whorl.data.benchmarks import BENCHMARKS
from whorl.data.hub import load_benchmark
from whorl.errors import UserError
from whorl.problem import Problem

Rows = list[dict[str, Any]]

LAYOUT: dict[str, dict[tuple[str, str], Rows]] = {
    "gsm8k": {
        ("main", "train"): [{"question": "3*400?", "answer": "3*400=<<3*400=1200>>\n#### 1,200"}],
        ("main", "test"): [
            {"question": "1+1?", "answer": "#### 2"},
            {"question": "?", "answer": ""},
        ],
    },
    "math": {
        (part, split): [
            {
                "problem": f"Some {part}?",
                "level": "Level ?" if part == "geometry" else "Level 4",
                "type": part.title(),
                "solution": r"$\boxed{1}$, so $\boxed{\frac12}$.",
            }
        ]
        for part in BENCHMARKS["math"].configs
        for split in ("train", "test")
    },
    "math500": {
        ("default", "test"): [
            {
                "problem": "1+1?",
                "solution": r"$\boxed{2}$",
                "answer": "2",
                "subject": "Algebra",
                "level": 2,
                "unique_id": "test/algebra/7.json",
            }
        ]
    },
    "collegemath": {
        ("default", "test"): [
            {
                "data_source": "book",
                "question_number": "exercise.0.4",
                "question": "Simplify.",
                "answer": "$10-4 n$",
                "license": "CC BY 3.0",
                "data_topic": "college_math.algebra",
            }
        ]
    },
    "olympiadbench_math": {
        ("OE_TO_maths_en_COMP", "train"): [
            {
                "id": 1606,
                "question": "Which?",
                "solution": ["It is."],
                "final_answer": ["$69$", "$84$"],
                "is_multiple_answer": True,
                "subfield": "Algebra",
            }
        ]
    },
    "theoremqa": {
        ("default", "test"): [
            {"Question": "Is it?", "Answer": "True", "Answer_type": "bool", "Picture": None},
            {
                "Question": "See.",
                "Answer": "1",
                "Answer_type": "integer",
                "Picture": {"bytes": b"x"},
            },
        ]
    },
    "aime": {
        ("default", "train"): [
            {"ID": "1983-1", "Year": 1983, "Problem Number": 1, "Question": "w?", "Answer": "60"}
        ]
    },
    "aime24": {
        ("default", "train"): [{"id": 60, "problem": "x?", "answer": "204", "year": "2024"}]
    },
    "aime25": {("default", "test"): [{"id": "0", "problem": "x?", "answer": "70"}]},
    "amc": {("default", "train"): [{"id": 0, "problem": "x?", "answer": 142.0, "url": "u"}]},
    "amc23": {("default", "test"): [{"id": 0, "question": "x?", "answer": 27.0, "url": "u"}]},
    "svamp": {
        ("default", split): [
            {
                "ID": "chal-1",
                "Body": "Each pack costs 76 dollars",
                "Question": "How much?",
                "Equation": "( 76.0 - 25.0 )",
                "Answer": "51",
                "Type": "Subtraction",
            }
        ]
        for split in ("train", "test")
    },
    "mawps": {
        ("original-splits", split): [
            {"id": "mawps__1", "question": "How many?", "result": "43", "result_float": 43.0}
        ]
        for split in ("train", "validation", "test")
    },
    "aqua": {
        ("raw", split): [
            {
                "question": "How fast?",
                "options": ["A)21", "B)21.5"],
                "rationale": "So.",
                "correct": "B",
            }
        ]
        for split in ("train", "validation", "test")
    },
    "numinamath": {
        ("default", "train"): [
            {
                "problem": "Prove it.",
                "solution": "So.",
                "answer": "proof",
                "question_type": "proof",
                "problem_is_valid": "Yes",
                "source": "olympiads",
            },
            {
                "problem": "1+1?",
                "solution": "So.",
                "answer": "2",
                "question_type": "math-word-problem",
                "problem_is_valid": "Yes",
                "source": "cn_k12",
            },
        ]
    },
    "metamath": {
        ("default", "train"): [
            {
                "type": "GSM_Rephrased",
                "query": "1+1?",
                "original_question": "1+1?",
                "response": "It is 2.\n#### 2\nThe answer is: 2",
            }
        ]
    },
    "omnimath": {
        ("default", "test"): [
            {
                "domain": ["Mathematics -> Algebra"],
                "difficulty": 4.5,
                "problem": "x?",
                "solution": "So.",
                "answer": "5",
                "source": "imo",
            }
        ]
    },
    "bigmath": {
        ("default", "train"): [
            {
                "problem": "x?",
                "answer": "6",
                "source": "orca_math",
                "domain": ["Mathematics"],
                "llama8b_solve_rate": 0.5,
            }
        ]
    },
}
for _part in BENCHMARKS["deepmind_mathematics"].configs:
    LAYOUT.setdefault("deepmind_mathematics", {})[_part, "test"] = [
        {"question": r"b'Solve 0 = x.\n'", "answer": r"b'0\n'"}
    ]

EXPECTED = {
    ("gsm8k", "train"): Problem("gsm8k/train/0", "3*400?", "1200", "gsm8k", "train"),
    ("gsm8k", "test"): Problem("gsm8k/test/0", "1+1?", "2", "gsm8k", "test"),
    ("math", "train"): Problem(
        *("math/train/algebra/0", "Some algebra?", r"\frac12", "math/Algebra", "train", "4")
    ),
    ("math500", "test"): Problem(
        *("math500/test/algebra/7", "1+1?", "2", "math500/Algebra", "test", "2")
    ),
    ("collegemath", "test"): Problem(
        *("collegemath/test/0", "Simplify.", "10-4 n", "collegemath/college_math.algebra", "test")
    ),
    ("deepmind_mathematics", "test"): Problem(
        "deepmind_mathematics/test/algebra__linear_1d/0",
        *("Solve 0 = x.", "0", "deepmind_mathematics/algebra__linear_1d", "test"),
    ),
    ("olympiadbench_math", "test"): Problem(
        *("olympiadbench_math/test/1606", "Which?", "69, 84", "olympiadbench_math/Algebra", "test")
    ),
    ("theoremqa", "test"): Problem("theoremqa/test/0", "Is it?", "True", "theoremqa/bool", "test"),
    ("aime", "train"): Problem("aime/train/1983-1", "w?", "60", "aime/1983", "train", "1"),
    ("aime24", "test"): Problem("aime24/test/60", "x?", "204", "aime24", "test"),
    ("aime25", "test"): Problem("aime25/test/0", "x?", "70", "aime25", "test"),
    ("amc", "test"): Problem("amc/test/0", "x?", "142", "amc", "test"),
    ("amc23", "test"): Problem("amc23/test/0", "x?", "27", "amc23", "test"),
    ("svamp", "test"): Problem(
        "svamp/test/chal-1",
        *("Each pack costs 76 dollars. How much?", "51", "svamp/Subtraction", "test"),
    ),
    ("mawps", "dev"): Problem("mawps/dev/mawps__1", "How many?", "43", "mawps", "dev"),
    ("aqua", "dev"): Problem(
        "aqua/dev/0", "How fast?\nAnswer choices: (A) 21 (B) 21.5", "B", "aqua", "dev"
    ),
    ("numinamath", "train"): Problem(
        "numinamath/train/1", "1+1?", "2", "numinamath/cn_k12", "train"
    ),
    ("metamath", "train"): Problem(
        "metamath/train/0", "1+1?", "2", "metamath/GSM_Rephrased", "train"
    ),
    ("omnimath", "test"): Problem(
        "omnimath/test/0", "x?", "5", "omnimath/Mathematics -> Algebra", "test", "4.5"
    ),
    ("bigmath", "train"): Problem("bigmath/train/0", "x?", "6", "bigmath/orca_math", "train"),
}

Publish = Callable[[str], Path]


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """`publish(name)` writes a data set as its repository has it; returns the folder of all."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    datasets.disable_progress_bars()

    def write(name: str) -> Path:
        folder = tmp_path / "hub" / BENCHMARKS[name].hub
        configs: dict[str, list[str]] = {}
        for (config, split), rows in LAYOUT[name].items():
            file = folder / config / f"{split}-00000-of-00001.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            table = datasets.Dataset.from_list(rows)
            if name == "theoremqa":
                table = table.cast_column("Picture", datasets.Image(decode=False))
            table.to_parquet(file)
            configs.setdefault(config, []).append(
                f"  - split: {split}\n    path: {config}/{split}-*\n"
            )
        card = "".join(
            f"- config_name: {config}\n  data_files:\n{''.join(splits)}"
            for config, splits in configs.items()
        )
        (folder / "README.md").write_text(f"---\nconfigs:\n{card}---\n")
        return tmp_path / "hub"

    return write


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_data_set_reads_as_the_hub_has_it(publish: Publish, name: str) -> None:
    at = publish(name)
    for split in BENCHMARKS[name].splits:
        if (name, split) in EXPECTED:
            first = next(load_benchmark(name, split=split, at=at))
            expected = EXPECTED[name, split]
            subject = expected.source.partition("/")[2]  # said in both
            assert first == replace(expected, subject=subject)


def test_every_data_set_is_expected_here() -> None:
    assert {name for name, _ in EXPECTED} == BENCHMARKS.keys() == LAYOUT.keys()


def test_parts_come_one_after_another_and_rows_keep_their_place(publish: Publish) -> None:
    at = publish("math")
    found = list(load_benchmark("math", at=at))
    assert [problem.id for problem in found] == [
        f"math/train/{part}/0" for part in BENCHMARKS["math"].configs
    ]
    assert found == list(load_benchmark("math", split="train", at=at))


def test_rows_that_are_no_problems_are_told_with_their_place(publish: Publish) -> None:
    for name, split, number, why in [
        ("gsm8k", "test", 2, "no #### in 'answer'"),
        ("theoremqa", "test", 2, "it needs its picture"),
        ("numinamath", "train", 1, "a proof, or no answer was found"),
    ]:
        skipped: list[tuple[int, str]] = []
        at = publish(name)
        rows = load_benchmark(
            name, split=split, at=at, on_skip=lambda *row, to=skipped: to.append(row)
        )
        assert len(list(rows)) == 1
        assert skipped == [(number, why)]


def test_a_folder_of_files_goes_before_the_hub(publish: Publish, tmp_path: Path) -> None:
    at = publish("gsm8k")
    (at / "gsm8k").mkdir()
    (at / "gsm8k" / "test.jsonl").write_text('{"id": "mine", "question": "?", "answer": "7"}\n')
    assert [problem.id for problem in load_benchmark("gsm8k", split="test", at=at)] == ["mine"]
    with pytest.raises(UserError, match=r"has no split 'train'; it holds test\.jsonl"):
        load_benchmark("gsm8k", split="train", at=at)


def test_what_is_not_there_is_said(publish: Publish, tmp_path: Path) -> None:
    at = publish("gsm8k")
    with pytest.raises(UserError, match="gsm8k has no split 'dev'; it has train and test"):
        load_benchmark("gsm8k", split="dev", at=at)
    with pytest.raises(UserError, match=r"holds neither svamp/train\.jsonl nor a clone ChilleD"):
        load_benchmark("svamp", at=at)
    broken = publish("aqua") / "deepmind" / "aqua_rat" / "raw" / "test-00000-of-00001.parquet"
    broken.write_bytes(b"no table")
    with pytest.raises(UserError, match=r"aqua_rat \(raw, test\) could not be loaded: "):
        list(load_benchmark("aqua", split="test", at=at))


def test_without_datasets_the_way_to_get_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"pip install 'whorl\[hub\]'"):
        next(load_benchmark("gsm8k"))


def test_without_a_network_it_is_one_line() -> None:
    code = (
        "from whorl.data.hub import load_benchmark\nfrom whorl.errors import UserError\n"
        "try: next(load_benchmark('gsm8k'))\nexcept UserError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("openai/gsm8k (main, train) could not be loaded: ")
    assert done.stdout.count("\n") == 1 and "--at names a folder" in done.stdout

"""`whorl judge`: verdicts in the order of the file, and one line of trouble."""

import json
from pathlib import Path

import pytest

ENDLESS = r"\sum_{k=1}^{3000}\sum_{j=1}^{3000} \sin(k j)"
PAIRS = [
    {"id": "a", "gold": "1/2", "prediction": "so \\boxed{0.5}"},
    {"gold": "\\sqrt{8}", "prediction": "The answer is $2\\sqrt{2}$."},
    {"gold": "5", "prediction": "we get 3 of them and then 5"},
    {"gold": 5, "prediction": 6},
    {"gold": "7", "prediction": f"\\boxed{{{ENDLESS}}}"},
    {"gold": "1, 2", "prediction": "\\boxed{2} and \\boxed{1}"},
]


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, PAIRS)))
    return path


def test_verdicts_come_in_order_with_answer_and_reason(whorl, pairs: Path) -> None:
    done = whorl("judge", pairs, "--json", "--deadline", "1")
    assert done.exit_code == 0, done.output
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["line"] for line in said] == [1, 2, 3, 4, 5, 6]
    assert [line.get("id") for line in said] == ["a", *[None] * 5]
    assert [(line["verdict"], line["answer"], line["reason"]) for line in said] == [
        ("right", "0.5", "same number"),
        ("right", "2\\sqrt{2}", "same value"),
        ("wrong", None, "no final answer"),
        ("wrong", "6", "different numbers"),
        ("undecided", ENDLESS, "took longer than 1 s"),
        ("right", "2, 1", "same list"),
    ]
    assert all(line["seconds"] >= 0 for line in said) and said[4]["seconds"] >= 1
    assert done.stderr == "3 right, 2 wrong, 1 undecided, of 6\n"


def test_a_pair_may_name_the_check_that_makes_it_right(whorl, tmp_path: Path) -> None:
    path, asked = tmp_path / "countdown.jsonl", "24 from 3 3 8 8"
    said = [
        ("8/(3-8/3)", "right", "makes 24"),
        ("\\boxed{3*8*3-8-8*8}", "wrong", "uses 8 more often"),
        ("\\boxed{8/(3-3)+8}", "wrong", "divides by zero"),
        ("\\boxed{8/(3-8/3)" + "+0" * 5000 + "}", "wrong", "over 400 characters"),
        ("\\boxed{__import__('os').abort()}", "wrong", "no expression of whole numbers"),
    ]
    rows = [{"gold": asked, "prediction": text, "check": "countdown"} for text, _, _ in said]
    path.write_text("\n".join(map(json.dumps, [*rows, {"gold": "1/2", "prediction": "0.5"}])))
    done = whorl("judge", path, "--json")
    assert done.exit_code == 0, done.output
    found = [json.loads(line) for line in done.stdout.splitlines()]
    wanted = [(verdict, reason) for _, verdict, reason in said]
    assert [(line["verdict"], line["reason"]) for line in found] == [
        *wanted,
        ("right", "same number"),
    ]
    for check, why in (("countdown", "is not like '24 from 3 4 5 6'"), ("chess", "no check 'ch")):
        path.write_text(json.dumps({"gold": "24", "prediction": "24", "check": check}))
        refused = whorl("judge", path)
        assert refused.exit_code == 2 and why in refused.stderr
        assert len(refused.stderr.splitlines()) == 1


def test_conventions_and_guessing_change_verdicts(whorl, pairs: Path, tmp_path: Path) -> None:
    quick = tmp_path / "quick.jsonl"
    quick.write_text("\n".join(json.dumps(PAIRS[number]) for number in (2, 5)))
    done = whorl("judge", quick, "--guess", "--set", "lists=ordered")
    assert done.exit_code == 0, done.output
    first, second = done.stdout.splitlines()
    assert first.split() == ["1", "right", "5", "same", "text"]
    assert second.split()[:2] == ["2", "wrong"]


def test_bad_lines_are_named_or_passed_over(whorl, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    good = json.dumps({"gold": "1", "prediction": ""})
    for line, why in (
        (b"{", "broken JSON"),
        (b"\xff", "not UTF-8"),
        (b"[1]", "not a JSON object"),
        (b'{"gold": "1"}', "no 'prediction' among gold"),
        (b'{"gold": " ", "prediction": "1"}', "'gold' is empty"),
        (b'{"gold": "1", "prediction": [1]}', "neither text nor a number"),
    ):
        path.write_bytes(good.encode() + b"\n\n" + line + b"\n")
        told = whorl("judge", path)
        assert told.exit_code == 2 and not told.stdout
        assert told.stderr.startswith(f"error: {path}, line 3: ") and why in told.stderr
        done = whorl("judge", path, "--skip-bad", "--json")
        assert done.exit_code == 0, done.output
        (only,) = map(json.loads, done.stdout.splitlines())
        assert only["verdict"] == "wrong" and only["answer"] is None
        assert "passed over line 3" in done.stderr


def test_trouble_is_one_line(whorl, pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "none.jsonl").write_text("\n")
    for arguments, why in (
        ([tmp_path / "nowhere.jsonl"], "there is no such file"),
        ([tmp_path / "none.jsonl"], "holds no pair"),
        ([pairs, "--set", "percents=either"], "did you mean percent?"),
        ([pairs, "--set", "percent=half"], "percent"),
        ([pairs, "--set", "tolerance=2"], "tolerance"),
    ):
        told = whorl("judge", *arguments)
        assert told.exit_code == 2 and not told.stdout
        assert told.stderr.startswith("error: ") and why in told.stderr
        assert told.stderr.count("\n") == 1

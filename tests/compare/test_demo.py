"""The demo, small, with the shipped models and real processes."""

import json
from pathlib import Path

import pytest
from tests.compare.watching import Heard

from whorl.cli.demonstration import demo_as_json, write_demo
from whorl.compare.demo import METHODS, Size, play_demo
from whorl.data.examples import read_examples


@pytest.mark.slow
def test_the_whole_loop_runs_once_and_is_only_read_the_second_time(tmp_path: Path) -> None:
    folder, size = tmp_path / "demo", Size(problems=10, test=20)
    findings = play_demo(folder, size, Heard())
    found = demo_as_json(findings)
    json.dumps(found)
    assert found["problems"] == 20
    assert 0.2 < found["base_accuracy"] < 0.8
    assert isinstance(found["generated_tokens"], int) and found["generated_tokens"] > 1000
    counts = {len(list(read_examples(path))) for path in folder.rglob("learned.jsonl")}
    assert len(counts) == 1 and counts.pop() == findings.results[0].last.point.examples > 0
    assert len(list(folder.glob("students/*/checkpoint/model.safetensors"))) == len(METHODS)
    page = write_demo(folder, findings, size, 1.0).read_text()
    assert all(method.name in page for method in METHODS)
    assert "Verdict" in page

    again = Heard()
    assert play_demo(folder, size, again) == findings
    assert not again.written

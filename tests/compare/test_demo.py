"""The demo, small, with the shipped models and real processes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from whorl.compare.demo import METHODS, Size, as_mapping, run_demo
from whorl.data.examples import read_examples
from whorl.watch import Progress


class Silent:
    """Watches without a word; remembers which files were written."""

    def __init__(self) -> None:
        self.written: list[str] = []

    @contextmanager
    def stage(self, title: str, progress: Progress) -> Iterator[None]:
        yield

    def training(self, step: int, steps: int, loss: float) -> None: ...

    def wrote(self, path: Path, what: str) -> None:
        self.written.append(path.name)

    def say(self, line: str) -> None: ...


@pytest.mark.slow
def test_the_whole_loop_runs_once_and_is_only_read_the_second_time(tmp_path: Path) -> None:
    folder, size = tmp_path / "demo", Size(problems=16, test=40)
    outcome = run_demo(folder, size, Silent())
    found = as_mapping(outcome)
    json.dumps(found)
    assert found["problems"] == 40
    assert 0.2 < found["base_accuracy"] < 0.8  # type: ignore[operator]
    assert isinstance(found["generated_tokens"], int) and found["generated_tokens"] > 1000
    counts = {len(list(read_examples(path))) for path in folder.glob("train-*.jsonl")}
    assert len(counts) == 1 and counts.pop() > 0
    assert len(list(folder.glob("student-*/model.safetensors"))) == len(METHODS)
    page = outcome.report.read_text()
    assert all(method.name in page for method in METHODS)
    assert "Verdict" in page

    again = Silent()
    repeated = as_mapping(run_demo(folder, size, again))
    assert {**repeated, "seconds": 0} == {**found, "seconds": 0}
    assert not any(name.startswith("scores") for name in again.written)

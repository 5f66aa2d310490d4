"""Lines of a job that is one of many: every one says whose it is, and none comes too often."""

import time
from pathlib import Path

import pytest
from tests.compare.watching import Heard

from whorl.compare import spoken
from whorl.compare.spoken import Spoken, WithinBudget
from whorl.watch import Progress


def test_lines_say_whose_they_are_and_files_stay_files() -> None:
    heard = Heard()
    job = Spoken(heard, "rft, seed 0")
    job.say("12 trees")
    job.wrote(Path("a/b.md"), "all of it")
    assert (heard.said, heard.written) == (["rft, seed 0: 12 trees"], ["b.md"])


def test_a_long_stage_is_told_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spoken, "EVERY", 0.01)
    heard, progress = Heard(), Progress(total=4)
    with Spoken(heard, "base").stage("evaluate", progress):
        progress.done = 3
        deadline = time.monotonic() + 60
        while not heard.said and time.monotonic() < deadline:
            time.sleep(0.01)
    assert heard.said[0].startswith("base: evaluate: 3/4 done, ")


def test_growing_is_told_by_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spoken, "EVERY", 0.01)
    heard, progress = Heard(), Progress(total=4, errors={"a": "b"})
    told = WithinBudget(heard, 5000)
    told.wrote(Path("trees.jsonl"), "1 trees")
    told.spent = 1200
    with told.stage("grow", progress):
        deadline = time.monotonic() + 60
        while not heard.said and time.monotonic() < deadline:
            time.sleep(0.01)
    assert heard.said[0] == "grow: 1,200 of 5,000 tokens, 1 failed" and not heard.written


def test_a_short_training_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard()
    job = Spoken(heard, "sigma, seed 1")
    for step in range(1, 4):
        job.training(step, 3, 0.5)
    assert heard.said[0].startswith("sigma, seed 1: train: step 3/3, loss 0.5000")
    assert len(heard.said) == 1
    monkeypatch.setattr(spoken, "EVERY", 0.0)
    job.training(1, 4, 0.5)
    job.training(2, 4, 0.25)
    job.training(3, 4, 0.25)
    assert heard.said[-1].startswith("sigma, seed 1: train: step 3/4, loss 0.2500, ")
    assert heard.said[-1].endswith(" left")

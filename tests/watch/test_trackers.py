"""Trackers are told the figures of events, as they stand in the file of events."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Thread, get_ident

import pytest
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker

from whorl.errors import UserError
from whorl.watch import Progress, Quiet
from whorl.watch.events import recorded
from whorl.watch.trackers import Trackers


def watched(path: Path, *names: str) -> list[dict[str, object]]:
    """The events of a stage and of a training, which the trackers `names` hear too."""
    with recorded(Quiet(), path / "events.jsonl", {"policy": "local:p"}, names) as watch:
        progress = Progress(total=4)
        with watch.stage("grow", progress):
            progress.done = 3
        watch.training(5, 5, 0.25)
    return [json.loads(line) for line in (path / "events.jsonl").read_text().splitlines()]


def test_tensorboard_is_told_what_the_events_say(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = watched(tmp_path, "tensorboard")
    found = EventAccumulator(str(tmp_path / "trackers" / "whorl"))
    found.Reload()
    (staged,) = (event for event in events if event["event"] == "staged")
    assert [one.value for one in found.Scalars("grow/done")] == [staged["done"]] == [3]
    assert [one.value for one in found.Scalars("train/loss")] == [0.25]


SCRIPT = """
from pathlib import Path
from whorl.watch import Progress, Quiet
from whorl.watch.events import recorded
with recorded(Quiet(), Path("events.jsonl"), {"policy": "local:p"}, ["trackio"]) as watch:
    with watch.stage("grow", Progress(total=4, done=3)):
        pass
"""


def test_trackio_is_told_what_the_events_say(tmp_path: Path) -> None:
    pytest.importorskip("trackio")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env=os.environ | {"TRACKIO_DIR": str(tmp_path / "kept")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    with closing(sqlite3.connect(tmp_path / "kept" / "whorl.db")) as kept:
        told = [json.loads(row) for (row,) in kept.execute("SELECT metrics FROM metrics")]
        ((config,),) = kept.execute("SELECT config FROM configs")
    assert told[-1]["grow/done"] == 3
    assert json.loads(config)["policy"] == "local:p"


def test_a_tracker_that_fails_ends_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(GeneralTracker):
        name = "full"
        requires_logging_directory = False

        def __init__(self, run_name: str) -> None:
            super().__init__(_blank=True)

        def start(self) -> None: ...

        def store_init_configuration(self, values: dict[str, object]) -> None: ...

        def log(self, values: dict[str, float], step: int | None = None) -> None:
            raise OSError("no space left")

    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "full", Full)
    monkeypatch.setattr("accelerate.tracking._available_trackers", ["full"])
    events = watched(tmp_path, "full")
    said = [event["line"] for event in events if event["event"] == "said"]
    assert said == ["full is not reported to any more: no space left"]
    assert events[-1]["how"] == "done"


def test_a_tracker_hears_all_from_the_thread_that_opened_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """mlflow keeps the run that goes on by thread; progress is told by a thread of its own."""
    threads: list[int] = []

    class Noting(GeneralTracker):
        name = "noting"
        requires_logging_directory = False

        def __init__(self, run_name: str) -> None:
            super().__init__(_blank=True)
            threads.append(get_ident())

        def start(self) -> None: ...

        def store_init_configuration(self, values: dict[str, object]) -> None: ...

        def log(self, values: dict[str, float], step: int | None = None) -> None:
            threads.append(get_ident())

        def finish(self) -> None:
            threads.append(get_ident())

    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "noting", Noting)
    monkeypatch.setattr("accelerate.tracking._available_trackers", ["noting"])
    trackers = Trackers(["noting"], tmp_path, {})
    said = {"event": "progress", "title": "grow", "done": 1}
    for call in (partial(trackers.hear, said), trackers.close):
        other = Thread(target=call)
        other.start()
        other.join()
    assert len(threads) == 3 and len(set(threads)) == 1


@pytest.mark.parametrize(
    ("name", "why"), [("wandv", "there are .*wandb"), ("comet_ml", "is not installed")]
)
def test_a_tracker_that_is_not_there_is_said_before_anything_begins(
    tmp_path: Path, name: str, why: str
) -> None:
    with pytest.raises(UserError, match=f"report_to = {name}:? {why}"):
        watched(tmp_path, name)
    assert os.listdir(tmp_path) == []

"""Events on disk: what a command does, for other processes to read, whatever becomes of it."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.budget import Budget
from whorl.budget.purse import Purse
from whorl.watch import Progress, Quiet
from whorl.watch import events as module
from whorl.watch.events import events_of, recorded
from whorl.watch.process import lives, myself
from whorl.watch.status import Reader, Status, status_of


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_command_tells_what_it_does(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with recorded(Quiet(), path, {"policy": "local:x"}) as watch:
        watch.round(1, 2, "local:x")
        progress = Progress(total=3)
        with watch.stage("grow", progress):
            progress.done = 2
            progress.errors["p#"] = "no reply"
        watch.training(1, 2, 0.5)
        watch.training(2, 2, 0.25)
        watch.wrote(path, "3 things")
        watch.say("that was that")
    told = read(path)
    assert [line["event"] for line in told] == [
        *("begin", "round", "stage", "failed", "staged"),
        *("stage", "training", "training", "wrote", "said", "end"),
    ]
    assert told[0]["models"] == {"policy": "local:x"}
    assert told[0]["process"]["pid"] == os.getpid()
    assert {"whorl", "python", "torch"} <= told[0]["versions"].keys()
    assert (told[4]["done"], told[4]["failed"], told[4]["total"]) == (2, 1, 3)
    assert all(b["at"] >= a["at"] for a, b in pairwise(told))

    status = status_of(path)
    assert status is not None
    assert status.life(time.time()) == "done"
    assert [(stage.title, stage.round) for stage in status.stages] == [("grow", 1), ("train", 1)]
    assert status.stages[1].counts["loss"] == 0.25
    assert status.errors == {"p#": "no reply"}
    assert status.stage is None


def test_progress_is_told_at_most_once_a_second_and_only_if_something_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY", 0.05)
    path = tmp_path / "events.jsonl"
    with recorded(Quiet(), path, {}) as watch:
        progress = Progress(total=3)
        with watch.stage("grow", progress):
            progress.done = 1
            time.sleep(0.4)
    told = [line for line in read(path) if line["event"] == "progress"]
    assert len(told) <= 2
    assert told[-1]["done"] == 1


@pytest.mark.parametrize(
    ("error", "how"), [(KeyboardInterrupt(), "stopped"), (ValueError("a fault"), "failed")]
)
def test_how_a_command_ended_is_told(tmp_path: Path, error: BaseException, how: str) -> None:
    path = tmp_path / "events.jsonl"
    with pytest.raises(type(error)), recorded(Quiet(), path, {}):
        raise error
    status = status_of(path)
    assert status is not None
    assert status.life(time.time()) == how
    assert status.end["error"] == (str(error) or "KeyboardInterrupt")


def test_the_end_of_a_budget_is_no_failure(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with recorded(Quiet(), path, {}) as watch:
        progress = Progress(total=3, purse=Purse(Budget(seconds=1e-9)))
        with watch.stage("grow", progress):
            progress.done = 2
    status = status_of(path)
    assert status is not None
    assert status.life(time.time()) == "spent"
    assert status.end["error"] == "seconds = 1e-09"


def test_a_disk_that_cannot_be_written_to_ends_the_record_alone(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "events.jsonl"
    with recorded(Quiet(), path, {}) as watch:
        watch.say("on it goes")
    assert not path.exists()


def test_a_torn_line_is_harmless(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with recorded(Quiet(), path, {}) as watch:
        watch.say("whole")
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"at": 3, "event": "sai')
    assert status_of(path) == status_of_bytes(tmp_path, whole)
    with recorded(Quiet(), path, {}) as watch:
        watch.say("later")
    status = status_of(path)
    assert status is not None
    assert status.said == ["whole", "later"]


def status_of_bytes(folder: Path, data: bytes) -> Status | None:
    path = folder / "other.jsonl"
    path.write_bytes(data)
    return status_of(path)


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from(
                [
                    b'{"at": 1, "event": "begin", "process": {}}',
                    b'{"at": 2, "event": "stage", "title": "grow", "total": 4}',
                    b'{"at": 3, "event": "progress", "title": "grow", "done": 1, "total": 4}',
                    b'{"at": 4, "event": "end"}',
                    b'{"at": 4, "event": "stage"}',
                    b'{"at": "x"}',
                    b"[]",
                    b"7",
                ]
            ),
        )
    )
)
def test_no_file_of_events_breaks_its_reader(tmp_path_factory, lines: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("events") / "events.jsonl"
    path.write_bytes(b"\n".join(lines))
    status = status_of(path)
    assert status is None or status.life(0.0)


def test_what_was_read_in_pieces_is_what_is_read_at_once(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jsonl"
    with recorded(Quiet(), whole, {}) as watch:
        for k in range(20):
            watch.say(f"line {k}")
    growing = tmp_path / "growing.jsonl"
    reader, read_so_far = Reader(growing), []
    data = whole.read_bytes()
    for end in range(0, len(data), 7):
        growing.write_bytes(data[:end])
        read_so_far += reader.read()
    growing.write_bytes(data)
    read_so_far += reader.read()
    assert read_so_far == list(Reader(whole).read())


def test_a_killed_command_is_told_from_one_that_lives(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    code = (
        "import sys, time; from pathlib import Path; from whorl.watch import Quiet;"
        "from whorl.watch.events import recorded\n"
        "with recorded(Quiet(), Path(sys.argv[1]), {}): print('in', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE)
    assert child.stdout and child.stdout.readline()
    status = status_of(path)
    assert status is not None
    assert status.life(time.time()) == "running"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert status.life(time.time()) == "killed"


def test_who_else_has_the_id_of_a_process_is_not_taken_for_it() -> None:
    assert lives(myself())
    assert lives(myself() | {"born": "1"}) is False
    assert lives(myself() | {"boot": "another"}) is False
    assert lives(myself() | {"host": "elsewhere"}) is None
    assert lives(myself() | {"pid": "x"}) is False


def test_what_is_left_is_told_from_rounds_that_are_over() -> None:
    status = Status()
    for event in (
        {"at": 0, "event": "begin", "process": myself() | {"host": "elsewhere"}},
        {"at": 0, "event": "round", "number": 1, "rounds": 3},
        {"at": 0, "event": "stage", "title": "grow", "total": 2},
        {"at": 50, "event": "progress", "title": "grow", "done": 1, "total": 2, "left": 50},
    ):
        status.hear(event)
    assert status.left() == (50, 250), "100 seconds a round"
    for event in (
        {"at": 100, "event": "staged", "title": "grow", "done": 2, "total": 2},
        {"at": 100, "event": "round", "number": 2, "rounds": 3},
        {"at": 100, "event": "stage", "title": "grow", "total": 2},
        {"at": 120, "event": "progress", "title": "grow", "done": 1, "total": 2, "left": 20},
    ):
        status.hear(event)
    assert status.left() == (20, 180)
    assert status.life(130) == "running"
    assert status.life(300) == "silent"


def test_events_lie_in_a_folder_or_beside_a_file(tmp_path: Path) -> None:
    assert events_of(tmp_path) == tmp_path / "events.jsonl"
    assert events_of(tmp_path / "after.jsonl") == tmp_path / "after.events.jsonl"
    model = tmp_path / "model"
    model.mkdir()
    (tmp_path / "model.events.jsonl").touch()
    assert events_of(model) == tmp_path / "model.events.jsonl"

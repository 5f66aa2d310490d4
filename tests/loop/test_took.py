"""The seconds of a round, over calls that ended in whatever way."""

import json
import os
import time
from pathlib import Path

import pytest

from whorl.loop.took import Took

HOUR = 3600.0


class Call:
    """Calls of a run at times that are told, without a clock."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.round, self.events, self.now = folder / "round-1", folder / "events.jsonl", time.time()
        self.round.mkdir()
        monkeypatch.setattr(time, "time", lambda: self.now)

    def say(self, event: str, **said: object) -> None:
        with self.events.open("a") as file:
            file.write(json.dumps({"at": round(self.now, 2), "event": event, **said}) + "\n")

    def begin(self) -> Took:
        self.say("begin", process={})
        return Took(self.round, self.events)


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    return Call(tmp_path, monkeypatch)


def test_a_call_that_was_killed_lasted_until_its_last_event(call: Call) -> None:
    call.begin()
    for _ in range(10):
        call.now += 10
        call.say("alive")
    call.now += 2 * HOUR
    again = call.begin()  # killed before it says anything
    call.now += HOUR
    call.say("begin", process={})  # stopped before it comes to the round
    call.now += 5
    call.say("end", how="stopped", error="")
    call.now += HOUR
    third = call.begin()
    call.now += 7
    seconds = third.finish()
    assert seconds == pytest.approx(107, abs=0.1)
    assert json.loads((call.round / "seconds.json").read_text()) == {"seconds": seconds}
    assert call.begin().finish() == seconds == again.finish()
    assert not (call.round / "begun.json").exists()


def test_files_that_readers_and_journals_write_meanwhile_take_no_time(call: Call) -> None:
    call.begin()
    call.now += 3
    call.say("alive")
    for name in ("trees.index.db", "journal.db"):
        (call.round / name).touch()
        os.utime(call.round / name, (call.now + HOUR,) * 2)
    call.now += 2 * HOUR
    assert call.begin().finish() == pytest.approx(3, abs=0.1)


def test_a_record_that_is_not_there_or_torn_ends_nothing(call: Call) -> None:
    call.begin()
    call.now += 4
    call.say("alive")
    with call.events.open("a") as file:
        file.write('{"at": 1e12, "ev\n')
    call.now += HOUR
    call.begin()
    call.events.unlink()
    assert Took(call.round, call.events).finish() == pytest.approx(4, abs=0.1)

"""Jobs in real processes: what they say and how they end."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.compare.watching import Heard

from whorl.compare.jobs import side_by_side
from whorl.engines.journal import DamagedError
from whorl.errors import UserError
from whorl.watch import Watch


@dataclass(frozen=True)
class Note:
    """A job that leaves its process id in a file, and then ends as it is told."""

    folder: Path
    name: str
    end: str = ""
    thriftier: str = ""

    def run(self, watch: Watch) -> None:
        file = self.folder / self.name
        file.write_text(f"{os.getpid()}")
        watch.say(f"{self.name} at work")
        if self.end == "refused":
            raise UserError(f"{self.name} is refused")
        if self.end == "damaged":
            raise DamagedError(file, "row 3")
        if self.end == "broken":
            os._exit(7)
        if self.end == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.end == "long":
            time.sleep(600)
        watch.wrote(file, "done")


def test_each_has_a_process_and_is_heard(tmp_path: Path) -> None:
    watch = Heard()
    names = ("a", "b", "c")
    side_by_side([Note(tmp_path, name) for name in names], 2, watch)
    assert sorted(watch.said) == [f"{name} at work" for name in names]
    assert sorted(watch.written) == list(names)
    owners = {(tmp_path / name).read_text() for name in names}
    assert len(owners) == 3 and str(os.getpid()) not in owners


def test_a_refusal_ends_the_others_unless_it_is_taken_care_of(tmp_path: Path) -> None:
    jobs = [Note(tmp_path, "long", "long"), Note(tmp_path, "bad", "refused")]
    start = time.monotonic()
    with pytest.raises(UserError, match="bad is refused"):
        side_by_side(jobs, 2, Heard())
    assert time.monotonic() - start < 300
    if (tmp_path / "long").exists():
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "long").read_text()), 0)

    refused: list[UserError] = []
    watch = Heard()
    taken: list[int] = []

    def later() -> Iterator[Note]:
        for job in (Note(tmp_path, "bad", "refused"), Note(tmp_path, "good")):
            taken.append(len(refused))
            yield job

    side_by_side(later(), 1, watch, refused.append)
    assert taken == [0, 1], "a job is taken when its process can start"
    assert [str(error) for error in refused] == ["bad is refused"] and watch.written == ["good"]


def test_a_process_that_breaks_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="the process of odd ended with code 7"):
        side_by_side([Note(tmp_path, "odd", "broken")], 1, Heard())
    with pytest.raises(UserError, match=r"of big was killed, as .*; the same command goes on$"):
        side_by_side([Note(tmp_path, "big", "killed")], 1, Heard())
    with pytest.raises(UserError, match=r"goes on, and takes less of it with --jobs 1$"):
        side_by_side([Note(tmp_path, "big", "killed", "--jobs 1")], 1, Heard())


def test_what_is_damaged_is_said_in_the_parent_as_in_the_child(tmp_path: Path) -> None:
    with pytest.raises(DamagedError, match=r"journal .*j is damaged: row 3; .* --repair"):
        side_by_side([Note(tmp_path, "j", "damaged")], 1, Heard())

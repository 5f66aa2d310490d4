"""Folders that were made once: kept by name, and taken away when others need the room."""

import os
import time
from pathlib import Path

import pytest

from whorl.data import cache
from whorl.data.cache import cached


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "whorl" / "models"


def made(name: str, *, room: int | None = None, size: int = 100) -> bool:
    """Whether a folder had to be made."""
    news: list[Path] = []

    def make(place: Path) -> None:
        news.append(place)
        (place / "weights").write_bytes(b"w" * size)

    place = cached("models", name, make=make, room=room)
    assert (place / "weights").stat().st_size == size
    return bool(news)


def names(home: Path) -> set[str]:
    return {each.name for each in home.iterdir()}


def test_a_folder_is_made_once(home: Path) -> None:
    assert made("a") and not made("a")
    assert names(home) == {"a"}


def test_a_folder_that_cannot_be_made_is_not_there(home: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        cached("models", "a", make=lambda place: print(1 // 0))
    assert names(home) == set()


def test_what_was_used_longest_ago_makes_way(home: Path) -> None:
    for name in "abc":
        assert made(name)
        os.utime(home / name, (ord(name), ord(name)))
    assert not made("a", room=0)  # it is there: used now, and nothing has to make way
    assert made("d", room=250)
    assert names(home) == {"a", "c", "d"}


def test_what_a_killed_process_left_goes_after_a_day(home: Path) -> None:
    made("a")
    old, new = home / ".partial-old", home / ".partial-new"
    for each in (old, new):
        each.mkdir()
    long_ago = time.time() - cache.ABANDONED - 60
    os.utime(old, (long_ago, long_ago))
    made("b", room=1000)
    assert names(home) == {"a", "b", ".partial-new"}

"""Folders of rounds, among others of like names."""

from pathlib import Path

from whorl.data.rounds import number_of, rounds_of


def test_rounds_are_folders_whose_name_ends_in_a_number(tmp_path: Path) -> None:
    for name in ("round-10", "round-2", "round-2.bak", "round-", "round-x", "round-02", "round-0"):
        (tmp_path / name).mkdir()
    (tmp_path / "round-3").touch()
    assert [path.name for path in rounds_of(tmp_path)] == ["round-2", "round-10"]
    assert number_of(tmp_path / "round-2.bak") == 0

"""Whatever bit of a journal is flipped, no other reply comes of it."""

import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from whorl.ask import Ask, Prompt, Replies, Reply
from whorl.engines import row
from whorl.engines.function import Function
from whorl.engines.journal import DamagedError, Journal
from whorl.engines.repair import mended, repair
from whorl.errors import UserError

ASKS = [Ask(Prompt("", str(number)), n=1 + number % 3) for number in range(120)]


def answer(ask: Ask) -> Replies:
    return tuple(
        Reply(f"{ask.prompt.user}/{k} " * 20, "eos", 7 + k, None, -0.5 * k, 30, 10)
        for k in range(ask.n)
    )


def answered(journal: Journal, asks: Sequence[Ask] = ASKS) -> list[Replies]:
    engine = journal.wrap(Function(answer))
    for ticket, ask in enumerate(asks):
        engine.submit(ticket, ask)
    found = dict(engine.poll(0.0))
    found |= dict(engine.poll(0.0))
    return [found[ticket] for ticket in range(len(asks))]  # type: ignore[misc]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "journal.db"
    with Journal(path) as journal:
        assert answered(journal) == list(map(answer, ASKS))
    return path


def flipped(path: Path, random: Random) -> None:
    """Flip one bit of a file."""
    content = bytearray(path.read_bytes())
    content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    path.write_bytes(content)


def test_a_flipped_bit_is_named_or_means_nothing(sound: Path, tmp_path: Path) -> None:
    random, path, seen = Random(3), tmp_path / "journal.db", 0
    for _ in range(60):
        shutil.copy(sound, path)
        flipped(path, random)
        try:
            with Journal(path) as journal:
                assert answered(journal) == list(map(answer, ASKS))
                assert journal.recalled == len(ASKS)
        except UserError as error:
            assert "\n" not in str(error) and "journal" in str(error)
            seen += 1
            if isinstance(error, DamagedError):
                kept = repair(path)
                assert kept is not None
                with Journal(path) as journal:
                    assert answered(journal) == list(map(answer, ASKS))
                    assert journal.recalled == kept
                    assert journal.asked == len(ASKS) - kept
    assert seen > 30


def test_of_a_damaged_journal_the_rest_goes_on(sound: Path, tmp_path: Path) -> None:
    path = tmp_path / "round-1" / "journal.db"
    path.parent.mkdir()
    content = sound.read_bytes()
    assert b'"77/1 77/1' in content
    path.write_bytes(content.replace(b'"77/1 77/1', b'"77/1 87/1', 1))
    before = path.read_bytes()
    with pytest.raises(DamagedError, match=r"damaged: row 78 of 120; the same command with --rep"):
        Journal(path)
    (line,) = mended(tmp_path.rglob("*.db"))
    assert "119 answers are kept" in line
    assert path.with_name("journal.db.damaged").read_bytes() == before
    with Journal(path) as journal:
        assert answered(journal) == list(map(answer, ASKS))
        assert (journal.asked, journal.recalled) == (1, 119)
    assert not list(mended([path]))


def test_what_is_no_journal_is_left_alone(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "other.db")
    database.execute("CREATE TABLE reply (x)")
    database.commit()
    database.close()
    before = (tmp_path / "other.db").read_bytes()
    with pytest.raises(UserError, match="not a journal"):
        repair(tmp_path / "other.db")
    assert (tmp_path / "other.db").read_bytes() == before


def test_a_journal_of_the_version_before_is_taken_over_and_summed(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal(path) as journal:
        answered(journal)
        journal._database.execute("ALTER TABLE answer DROP COLUMN checksum")
        journal._database.execute("UPDATE answer SET replies = 'torn' WHERE row = 5")
        journal._database.execute("PRAGMA user_version = 4")
        journal._database.commit()
    with pytest.raises(DamagedError, match="row 5 of 120"):
        Journal(path)
    assert repair(path) == 119
    with Journal(path) as journal:
        assert answered(journal) == list(map(answer, ASKS))
        assert journal.asked == 1


def test_a_row_that_cannot_be_one_has_no_checksum_of_a_row() -> None:
    assert row.checksum(None, b"policy", b"[]", 1, 2, 3) == -1  # type: ignore[arg-type]
    assert row.checksum(b"", b"policy", b"[]", 1, 2, 3) >= 0

"""Names of a journal's rows: what a dictionary would say, in memory that does not grow."""

import random
import sqlite3
import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.engines.names import Names


def table(names: Iterable[bytes] = ()) -> sqlite3.Connection:
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE answer (row INTEGER PRIMARY KEY, ask BLOB NOT NULL)")
    put(database, names)
    return database


def put(database: sqlite3.Connection, names: Iterable[bytes]) -> None:
    with database:
        database.executemany("INSERT INTO answer (ask) VALUES (?)", ((name,) for name in names))


some_names = st.lists(st.binary(min_size=16, max_size=16), unique=True, max_size=40)


@given(before=some_names, batches=st.lists(some_names, max_size=4), bits=st.sampled_from([8, 25]))
def test_it_finds_what_a_dictionary_finds(
    before: list[bytes], batches: list[list[bytes]], bits: int
) -> None:
    """With a filter of 256 bits nearly every new name is taken for a known one at first."""
    database = table(before)
    names = Names(database, bits=bits)
    known = {name: row for row, name in enumerate(before, 1)}
    for name in before:
        names.add(name)
    for batch in batches:
        for name in batch:
            assert names.find(name, len(known)) == known.get(name)
        fresh = [name for name in batch if name not in known]
        rows = range(len(known) + 1, len(known) + 1 + len(fresh))
        put(database, fresh)
        may_be_known = [names.add(name) for name in fresh]
        assert bits == 8 or not any(may_be_known)
        assert all(names.add(name) for name in fresh)
        known |= dict(zip(fresh, rows, strict=True))
        assert [names.find(name, len(known)) for name in known] == list(known.values())


def test_the_newest_row_of_a_name_counts() -> None:
    name = bytes(range(16))
    database = table([name])
    names = Names(database)
    names.add(name)
    assert names.find(name, 1) == 1
    with database:
        database.execute("INSERT INTO answer VALUES (2, ?)", (name,))
        database.execute("DELETE FROM answer WHERE row = 1")
    assert names.find(name, 2) == 2


@pytest.mark.parametrize("count", [100, 30_000])
def test_memory_is_that_of_the_filter(count: int) -> None:
    database, rng = table(), random.Random(0)
    tracemalloc.start()
    names = Names(database)
    for _ in range(count):
        name = rng.randbytes(16)
        assert not names.add(name)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.01 * 2**22

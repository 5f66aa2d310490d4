"""Which row of a journal holds an ask, in memory that does not grow with the journal."""

import sqlite3

_BITS = 25  # the filter takes 4 MiB

_INDEX = "CREATE TEMP TABLE name (ask BLOB PRIMARY KEY, row INTEGER NOT NULL) WITHOUT ROWID"
_CATCH_UP = "INSERT OR REPLACE INTO name SELECT ask, row FROM answer WHERE row > ? ORDER BY ask"
_LAST = "SELECT coalesce(max(row), 0) FROM answer"
_FIND = "SELECT row FROM name WHERE ask = ?"


class Names:
    """The rows of a journal's table `answer` by name.

    Most asks are new, and a Bloom filter of fixed size says so. Only for a name that it may hold an
    index is brought up to date and asked: a temporary table, in a file of SQLite's own, which takes
    in what was recorded since in the order of names. An index that is written with every answer
    would be written at random. Of 400,000 names the filter mistakes one new name in 25,000 for a
    known one, of 7 million one in 9; each such mistake costs some 0.1 ms.
    """

    def __init__(self, database: sqlite3.Connection, *, bits: int = _BITS) -> None:
        """Read the names on record. bits: the filter has 2 to the power of them, 8 to 42."""
        self._database = database
        self._bits = bits
        self._filter = bytearray(1 << (bits - 3))
        self._indexed = 0  # the rows up to this one are in the index
        database.execute(_INDEX)
        for (name,) in database.execute("SELECT ask FROM answer"):
            self.add(name)

    def add(self, name: bytes) -> None:
        """Take in a name, of at least 16 bytes as good as random, that is on record now."""
        known = self._filter
        for place in self._places(name):
            known[place >> 3] |= 1 << (place & 7)

    def find(self, name: bytes) -> int | None:
        """The row with a name; None if there is none."""
        known = self._filter
        for place in self._places(name):
            if not known[place >> 3] >> (place & 7) & 1:
                return None
        with self._database:
            self._database.execute(_CATCH_UP, (self._indexed,))
        (self._indexed,) = self._database.execute(_LAST).fetchone()
        found = self._database.execute(_FIND, (name,)).fetchone()
        return None if found is None else found[0]

    def _places(self, name: bytes) -> tuple[int, int, int]:
        """Three bits of the filter."""
        number, mask = int.from_bytes(name[:16], "big"), (1 << self._bits) - 1
        return number & mask, number >> self._bits & mask, number >> 2 * self._bits & mask

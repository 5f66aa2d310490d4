"""Which row of a journal holds an ask, in memory that does not grow with the journal."""

import sqlite3
from struct import Struct

_BITS = 25  # the filter takes 4 MiB
_NUMBERS = Struct("<III").unpack_from  # of a name, each of which tells a bit of the filter

_INDEX = "CREATE TEMP TABLE name (ask BLOB PRIMARY KEY, row INTEGER NOT NULL) WITHOUT ROWID"
_CATCH_UP = "INSERT OR REPLACE INTO name SELECT ask, row FROM answer WHERE row > ? ORDER BY ask"
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
        """bits: the filter has 2 to the power of them, 3 to 32. Names on record are to be added."""
        self._database = database
        self._mask = (1 << bits) - 1
        self._filter = bytearray(1 << (bits - 3))
        self._indexed = 0  # the rows up to this one are in the index
        database.execute(_INDEX)

    def add(self, name: bytes) -> bool:
        """Take in a name, a digest, that is or will be on record; whether it may have been before.
        That one is not recorded after all does no harm."""
        known, mask, before = self._filter, self._mask, True
        for number in _NUMBERS(name):
            place, bit = (number & mask) >> 3, 1 << (number & 7)
            byte = known[place]
            if not byte & bit:
                known[place] = byte | bit
                before = False
        return before

    def find(self, name: bytes, last: int) -> int | None:
        """The row with a name; None if there is none. last: the last row on record."""
        known, mask = self._filter, self._mask
        for number in _NUMBERS(name):
            if not known[(number & mask) >> 3] >> (number & 7) & 1:
                return None
        if self._indexed < last:
            with self._database:
                self._database.execute(_CATCH_UP, (self._indexed,))
            self._indexed = last
        found = self._database.execute(_FIND, (name,)).fetchone()
        return None if found is None else found[0]

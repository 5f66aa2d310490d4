"""Shards: equal parts of a list of problems, for jobs that know nothing of each other."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from whorl.errors import UserError
from whorl.problem import Problem

_WRITTEN = re.compile(r"(\d+)(?:/|-of-)(\d+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `of` parts of a list of problems: part `number`, from 1."""

    number: int
    of: int

    @classmethod
    def read(cls, text: str) -> "Shard":
        """Inverse of `str` and of `name`. Raises `UserError` if `text` says no shard."""
        found = _WRITTEN.fullmatch(text.strip())
        shard = cls(int(found[1]), int(found[2])) if found else None
        if shard is None or not 1 <= shard.number <= shard.of:
            raise UserError(f"a shard is written as 3/16, the third of sixteen, not {text!r}")
        return shard

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def name(self) -> str:
        """The shard as the name of a folder: `3-of-16`."""
        return f"{self.number}-of-{self.of}"

    def takes(self, place: int) -> bool:
        """Whether the problem at `place` in the list, from 0, is in this shard.

        Of every `of` problems that follow each other each shard has one, which one is drawn by lot.
        So shards are equal, and what one of them leaves is spread evenly over any other number.
        """
        lot = hashlib.blake2b(f"{self.of}/{place // self.of}".encode(), digest_size=8).digest()
        return (place + int.from_bytes(lot)) % self.of == self.number - 1

    def part(self, problems: Iterable[Problem]) -> Iterator[tuple[int, Problem]]:
        """The problems of this shard, each with its place in the list."""
        return ((place, each) for place, each in enumerate(problems) if self.takes(place))

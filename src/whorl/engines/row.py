"""A row of the journal: an ask's name, the replies to it, and a checksum over both."""

import json
import struct
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any
from zlib import crc32

from whorl.answer.thoughts import thought_first
from whorl.ask import Replies, Reply
from whorl.engines.fast_json import dumps, loads

SCHEMA = """
CREATE TABLE answer (
    row INTEGER PRIMARY KEY,
    ask BLOB NOT NULL,              -- digest of the ask, 16 bytes; no two rows have the same
    role TEXT NOT NULL,
    replies BLOB NOT NULL,          -- as `write` has them
    tokens INTEGER NOT NULL,        -- of all replies together, as the next two
    prompt_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    checksum INTEGER                -- of all these; NULL: was damaged before there were any
)
"""

SELECT = """
SELECT rowid, ask, CAST(role AS BLOB), replies, tokens, prompt_tokens, cached_tokens, checksum
FROM answer
"""
"""All of a row; a damaged role need not be text."""

Answer = tuple[bytes, str, Replies]
"""What is recorded: an ask's digest and role, and the replies to it."""

Row = tuple[int, bytes, str, bytes, int, int, int, int]
"""Its columns."""

_NAMES = ("text", "finished", "tokens", "value", "logprob", "prompt_tokens", "cached_tokens")
_FIELDS = attrgetter(*_NAMES)
_COUNTS = struct.Struct("<3q").pack
_INFINITE = {float("inf"), float("-inf")}


def write(number: int, answer: Answer) -> Row:
    """The replies are JSON, a list for each: 1.0 does not come back as 1. Log-probabilities of
    given tokens are its last item."""
    name, role, replies = answer
    said = [*map(_FIELDS, replies)]
    _, _, tokens, values, logprobs, prompt, cached = zip(*said, strict=True)
    if any(reply.logprobs for reply in replies):
        said = [(*own, reply.logprobs) for own, reply in zip(said, replies, strict=True)]
    finite = _INFINITE.isdisjoint(values) and _INFINITE.isdisjoint(logprobs)
    encoded = dumps(said) if finite else json.dumps(said).encode()  # as no JSON has it
    counts = sum(tokens), sum(prompt), sum(cached)
    return number, name, role, encoded, *counts, checksum(name, role.encode(), encoded, *counts)


def read(replies: bytes) -> Replies:
    """Raises ValueError or TypeError if they are not as they were written."""
    return tuple(_reply(*fields) for fields in loads(replies))


def _reply(text: str, *fields: Any) -> Reply:
    """A reply; some of earlier versions had their thought behind everything else."""
    if len(fields) < len(_NAMES):
        return Reply(text, *fields)
    *fields, thought = fields  # type: ignore[assignment]
    if isinstance(thought, list):
        return replace(Reply(text, *fields), logprobs=tuple(thought))
    return Reply(thought_first(thought, text), *fields)


def checksum(
    name: bytes, role: bytes, replies: bytes, tokens: int, prompt: int, cached: int
) -> int:
    """CRC-32 of a row, in which every flip of a bit shows; -1 of what cannot be one."""
    try:
        counts = _COUNTS(tokens, prompt, cached)
        return crc32(replies, crc32(counts, crc32(role, crc32(name))))
    except (TypeError, struct.error):
        return -1


def checksum_of_earlier(name: bytes, role: bytes, replies: bytes, *counts: int) -> int | None:
    """The checksum of a row from before there were any; None if its replies cannot be read."""
    try:
        read(replies)
    except (ValueError, TypeError):
        return None
    return checksum(name, role, replies, *counts)


def converted(earlier: Iterable[tuple[Any, ...]]) -> Iterator[Row]:
    """Rows from those of the first versions, one for each reply, in the order of asks."""
    asks = groupby(earlier, key=itemgetter(0, 1))
    for number, ((name, role), rows) in enumerate(asks, 1):
        replies = (
            Reply(text.decode("utf-8", "surrogatepass"), *rest) for _, _, text, *rest in rows
        )
        yield write(number, (name, role, tuple(replies)))

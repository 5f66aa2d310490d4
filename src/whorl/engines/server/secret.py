"""A key, kept out of whatever a server says, and what it says, made fit for one line."""

from base64 import b64encode
from collections.abc import Iterator
from urllib.parse import quote

_STRETCH = 6  # characters of a key that are too many to be repeated


def redacted(said: str, secret: str) -> str:
    """`said` without the key. Servers repeat keys cut short, in other case, spaced out or masked,
    percent-encoded, in hexadecimal or as base64, alone or in a longer text: every stretch of six
    characters or more that it shares with any of those is left out. Signs between letters and
    digits do not count."""
    if not secret:
        return said
    raw = secret.encode()
    encoded = (b64encode(b"x" * shift + raw).decode()[2 * shift : -4] for shift in range(3))
    whole = b64encode(raw).decode().rstrip("=")
    keys = [secret, secret[::-1], quote(secret, safe=""), raw.hex(), whole, *encoded]
    hidden = [False] * len(said)
    low = [character.casefold()[:1] for character in said]  # one for one
    for counts in (_any, str.isalnum):
        places = [at for at, character in enumerate(low) if counts(character)]
        text = "".join(low[at] for at in places)
        known = set(_stretches(["".join(filter(counts, key.casefold())) for key in keys]))
        size = min(map(len, known), default=0)
        for start in range(len(text) - size + 1 if size else 0):
            if text[start : start + size] in known:
                first, last = places[start], places[start + size - 1]
                hidden[first : last + 1] = [True] * (last + 1 - first)
    return "".join(
        character if not hide else "***" if not (at and hidden[at - 1]) else ""
        for at, (character, hide) in enumerate(zip(said, hidden, strict=True))
    )


def _any(_: str) -> bool:
    return True


def _stretches(keys: list[str]) -> Iterator[str]:
    """All stretches of `_STRETCH` characters of the keys; of a key that is shorter, all of it."""
    size = min(_STRETCH, len(keys[0]))
    for key in keys if size else ():
        yield from (key[start : start + size] for start in range(len(key) - size + 1))


def line(said: str, most: int) -> str:
    """`said` in one line of at most so many characters, of which all can be shown anywhere."""
    words = " ".join(said.split())
    shown = words if len(words) <= most else words[:most] + "..."
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in shown)

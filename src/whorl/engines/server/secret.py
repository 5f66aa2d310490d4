"""A key, kept out of whatever a server says, and what it says, made fit for one line."""

from base64 import b64encode
from urllib.parse import quote

_STRETCH = 6  # characters of a key that are too many to be repeated


def redacted(said: str, secret: str) -> str:
    """`said` without the key. Servers repeat keys cut short, in other case, percent-encoded or as
    base64: every stretch of six characters or more that it shares with any of those is left out."""
    if not secret:
        return said
    encoded = b64encode(secret.encode()).decode().rstrip("=")
    keys = [key.casefold() for key in (secret, secret[::-1], quote(secret, safe=""), encoded)]
    size = min(_STRETCH, len(secret))
    known = {key[start : start + size] for key in keys for start in range(len(key) - size + 1)}
    low = [character.casefold()[:1] for character in said]  # one for one
    hidden = [False] * len(said)
    for start in range(len(said) - size + 1):
        if "".join(low[start : start + size]) in known:
            hidden[start : start + size] = [True] * size
    return "".join(
        character if not hide else "***" if not (at and hidden[at - 1]) else ""
        for at, (character, hide) in enumerate(zip(said, hidden, strict=True))
    )


def line(said: str, most: int) -> str:
    """`said` in one line of at most so many characters, of which all can be shown anywhere."""
    words = " ".join(said.split())
    shown = words if len(words) <= most else words[:most] + "..."
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in shown)

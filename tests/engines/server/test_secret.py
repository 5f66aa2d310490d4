"""A key is kept out of what servers say, also where they alter it."""

from base64 import b64encode
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.engines.server.secret import line, redacted

KEY = "sk-Proj/4fT9+zQ81=xYw"


@pytest.mark.parametrize(
    "said",
    [
        KEY, KEY.upper(), KEY[:12], KEY[-9:], KEY[:8] + "*" * 9 + KEY[-4:], KEY[::-1],
        quote(KEY, safe=""), b64encode(KEY.encode()).decode(), f"Bearer{KEY}{KEY}",
        " ".join(KEY), "-".join(KEY), KEY.replace("/", "\\/"), KEY.encode().hex(),
        *(b64encode(f"{'x' * n}: {KEY}!".encode()).decode()[n + 2 :] for n in range(3)),
    ],
)  # fmt: skip
def test_a_key_is_left_out_however_it_is_repeated(said: str) -> None:
    shown = redacted(f"Incorrect API key provided: {said}, see https://example.com", KEY)
    assert shown.startswith("Incorrect API key provided: ")
    assert shown.endswith(", see https://example.com")
    assert "***" in shown
    bare = "".join(filter(str.isalnum, shown.lower()))
    for key in (KEY, KEY.encode().hex(), b64encode(KEY.encode()).decode()):
        known = "".join(filter(str.isalnum, key.lower()))
        assert not any(known[at : at + 6] in bare for at in range(len(known) - 5))


@given(st.text(), st.text("abcdefghijkl", min_size=1), st.text())
def test_no_stretch_of_a_key_is_left(before: str, secret: str, after: str) -> None:
    shown = redacted(before + secret + after, secret)
    size = min(6, len(secret))
    assert not any(secret[at : at + size] in shown for at in range(len(secret) - size + 1))


@given(st.text())
def test_without_a_key_nothing_is_left_out(said: str) -> None:
    assert redacted(said, "") == said
    shown = line(said, 50)
    assert len(shown) <= 53 and shown.isprintable()
    assert "\x1b" not in line("red \x1b[31m", 50)

"""Text as a person is to see it."""

import io

from hypothesis import example, given
from hypothesis import strategies as st

from whorl.errors import Visible, reason, visible


@given(st.text(st.characters()))
@example("\u0bba")  # unassigned
@example("\ue000")  # private use
def test_visible_leaves_nothing_unseen_and_can_be_encoded(text: str) -> None:
    shown = visible(text)
    shown.encode()
    assert visible(shown) == shown
    assert all(c.isprintable() or c in "\n\t" or not c.strip() for c in shown)


def test_visible_keeps_what_people_write() -> None:
    for text in ("x² ≤ ½·√2", "naïve\n\tδ", "数学", "שלום", "e\u0301"):
        assert visible(text) == text


@given(st.lists(st.text(st.characters())))
def test_a_stream_lets_nothing_through_that_a_terminal_obeys(texts: list[str]) -> None:
    under = io.StringIO()
    stream = Visible(under)
    stream.writelines(texts)
    assert all(c.isprintable() or c in "\n\t\r" or not c.strip() for c in under.getvalue())


def test_a_stream_lets_progress_bars_be_drawn() -> None:
    under = io.StringIO()
    stream = Visible(under)
    for text in ("\n", "\r 50%|###   |", "\x1b[A", "\x1b[A\x1b[A", "\x1b[31mred"):
        stream.write(text)
    assert under.getvalue() == "\n\r 50%|###   |\x1b[A\x1b[A\x1b[A‹U+001B›[31mred"


def test_a_reason_is_one_line_that_says_something() -> None:
    assert reason(ValueError("no such key\nTraceback ...")) == "no such key"
    assert reason(ValueError("\nfield 'layers':\n    wants a whole number\nmore")) == (
        "field 'layers': wants a whole number"
    )
    assert reason(KeyError()) == "KeyError"
    assert reason(ValueError(" \n ")) == "ValueError"

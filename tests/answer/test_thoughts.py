"""Thoughts in texts: what stands outside of them, and inside."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.answer import concluded, extract
from whorl.answer.thoughts import (
    CLOSE,
    OPEN,
    inside,
    parted,
    shown,
    thinks,
    thought_first,
    without_thoughts,
)

PIECES = st.lists(st.sampled_from(["<think>", "</think>", "a ", "\n\n", "<THINK>", "1 < 2 "]))


@pytest.mark.parametrize(
    ("text", "outside", "within"),
    [
        ("no thought", "no thought", False),
        (OPEN + "so 5" + CLOSE + "It is 6.", "\n\nIt is 6.", False),
        (OPEN + "so 5", "", True),
        ("so 5" + CLOSE + "It is 6.", "\n\nIt is 6.", False),  # the template opened it
        ("<think>a<think>b</think>c", "c", False),  # nested: the first end is the end
        ("<think>a</think>b</think>c", "c", False),  # closed twice
        ("It is 6.<think>or 7", "It is 6.", True),
        ("2 < 3 and 5 > 4", "2 < 3 and 5 > 4", False),
    ],
)
def test_what_stands_outside_of_thoughts(text: str, outside: str, within: bool) -> None:
    assert without_thoughts(text) == outside
    assert thinks(text) == within


@given(PIECES.map("".join))
def test_a_text_is_its_thought_and_the_rest(text: str) -> None:
    head, rest = parted(text)
    assert head + rest == text
    assert not without_thoughts(head).strip()
    assert thinks(rest) == thinks(text) or not rest
    assert "think>" not in shown(text).casefold()
    assert "think>" not in inside(text).casefold()


def test_a_thought_concludes_nothing() -> None:
    assert concluded(OPEN + "The answer is 5." + CLOSE) is None
    assert concluded(OPEN + "The answer is 5.") is None
    assert concluded(OPEN + "5?" + CLOSE + "The answer is 6.") == "6"
    assert extract(OPEN + "5?" + CLOSE + "The answer is 6." + CLOSE + "The answer is 7.") == "7"


def test_a_thought_that_a_server_keeps_apart_stands_before_the_text() -> None:
    assert thought_first("", "It is 6.") == "It is 6."
    assert thought_first("\nHm.\n", "\n\nIt is 6.") == OPEN + "Hm." + CLOSE + "It is 6."
    assert thinks(thought_first("Hm", ""))

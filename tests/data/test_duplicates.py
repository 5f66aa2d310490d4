"""Near duplicates: found where a word or the layout changed, not where the numbers did."""

import sys
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.data.duplicates import without_near_duplicates
from whorl.data.selection import Dropped
from whorl.errors import UserError
from whorl.problem import Problem

STORY = (
    "Mia has 7 apples and buys 5 more at the market on Sunday. She gives 4 of them to her brother "
    "and bakes a cake with the others for her friends. How many apples are in the cake in the end?"
)


def kept(texts: Iterable[str]) -> tuple[list[str], list[Dropped]]:
    dropped: list[Dropped] = []
    problems = (Problem(str(place), text, "1") for place, text in enumerate(texts))
    return [p.question for p in without_near_duplicates(problems, on_drop=dropped.append)], dropped


def test_small_changes_are_near_duplicates_and_other_numbers_are_not() -> None:
    layout = STORY.upper().replace(". ", ".\n\n")
    reworded = STORY.replace("Sunday", "Monday")
    others = [STORY.replace("7", "8"), "Leo runs 3 miles. How far?", "What is 2+2?", "What is 2-2?"]
    found, dropped = kept([STORY, *others, layout, reworded])
    assert found == [STORY, *others]
    assert [(each.id, each.of, each.why) for each in dropped] == [
        ("5", "0", "nearly repeats another problem"),
        ("6", "0", "nearly repeats another problem"),
    ]
    assert dropped[0].share == 1.0 and 0.8 <= (dropped[1].share or 0) < 1


@settings(max_examples=25)
@given(st.lists(st.text("abc 1", max_size=20), max_size=12))
def test_what_is_kept_is_kept_again_and_the_rest_is_of_something_kept(texts: list[str]) -> None:
    found, dropped = kept(texts)
    assert len(found) + len(dropped) == len(texts)
    assert kept(found) == (found, [])
    gone = {each.id for each in dropped}
    assert not {each.of for each in dropped} & gone
    assert len(set(found)) == len(found)


def test_without_datasketch_the_way_to_get_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasketch", None)
    with pytest.raises(UserError, match=r"pip install 'whorl\[dedup\]'"):
        kept([STORY])

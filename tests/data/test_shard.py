"""Shards are equal, have every problem once, and what one leaves is spread over any number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.data.shard import Shard
from whorl.errors import UserError
from whorl.problem import Problem

PROBLEMS = [Problem(str(n), "q", "a") for n in range(1000)]


@given(st.integers(1, 40), st.integers(0, 500))
def test_every_problem_is_in_one_shard_and_shards_are_equal(of: int, problems: int) -> None:
    shards = [Shard(number, of) for number in range(1, of + 1)]
    taken = [[shard.takes(place) for place in range(problems)] for shard in shards]
    assert all(sum(each) == 1 for each in zip(*taken, strict=True))
    sizes = [sum(each) for each in taken]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("before", "after"), [(16, 8), (16, 4), (16, 5), (4, 16)])
def test_what_a_shard_leaves_is_spread_over_all_of_another_number(before: int, after: int) -> None:
    left = {place for place, _ in Shard(2, before).part(PROBLEMS)}
    share = [sum(Shard(n, after).takes(place) for place in left) for n in range(1, after + 1)]
    assert sum(share) == len(left)
    assert all(share) and max(share) < 3 * len(left) / after


@pytest.mark.parametrize("text", ["3/16", "1/1", "16/16"])
def test_a_shard_is_read_as_it_is_written(text: str) -> None:
    shard = Shard.read(text)
    assert str(shard) == text
    assert Shard.read(shard.name) == shard


@pytest.mark.parametrize(
    "text", ["", "0/4", "5/4", "3", "3/", "a/b", "3/0", "-1/4", "1/2/3", "²/3"]
)
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="a shard is written as 3/16"):
        Shard.read(text)

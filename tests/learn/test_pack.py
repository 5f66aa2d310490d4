"""Prefix trees and how rows and batches are cut out of them."""

import math
from collections.abc import Iterable
from itertools import combinations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from whorl.learn.corpus import Encoded, Ids, Path
from whorl.learn.pack import Costs, Growing, batches, partition, prefix_tree


def ids(tokens: Iterable[int]) -> Ids:
    return np.array(list(tokens), dtype=np.int32)


# few different tokens, so that much is shared; 256 sorts by bytes before 1, as numbers after it
tokens = st.lists(st.sampled_from([1, 2, 256]), max_size=7)
sequences = st.lists(tokens.map(ids), max_size=9)


@st.composite
def examples(draw: st.DrawFn) -> list[Encoded]:
    """Single paths or pairs, never both, as one objective eats them."""
    sides = draw(st.sampled_from([1, 2]))
    path = st.builds(lambda t: Path(ids([7, *t]), 1), tokens)
    several = draw(st.lists(st.lists(path, min_size=sides, max_size=sides), max_size=8))
    return [Encoded(tuple(paths), 1.0, sides * i) for i, paths in enumerate(several)]


costs = st.builds(
    Costs,
    st.integers(1, 60),
    even=st.sampled_from([math.inf, 4.0, 50.0]),
    single=st.booleans(),
    packed=st.booleans(),
)


def prefixes(several: Iterable[Ids]) -> set[tuple[int, ...]]:
    return {tuple(s[:n]) for s in several for n in range(1, len(s) + 1)}


def forest_of(run: Iterable[Encoded]) -> int:
    """Tokens of a row that shares what its examples begin alike with."""
    return len(prefixes(path.ids for e in run for path in e.paths))


def splits(count: int) -> Iterable[list[tuple[int, int]]]:
    """Every way to cut `range(count)` into runs."""
    if count == 0:
        yield []
        return
    for cuts in range(count):
        for at in combinations(range(1, count), cuts):
            yield list(zip((0, *at), (*at, count), strict=True))


@given(sequences)
@example([])
@example([ids([1, 2, 1]), ids([1, 2]), ids([1, 2, 1]), ids([2])])
def test_every_sequence_can_be_read_back(several: list[Ids]) -> None:
    tree = prefix_tree(several)
    assert len(tree.paths) == len(several)
    for sequence, path in zip(several, tree.paths, strict=True):
        assert tree.ids[path].tolist() == sequence.tolist()
        assert tree.depths[path].tolist() == list(range(len(sequence)))
        assert tree.parents[path].tolist() == [-1, *path[:-1]][: len(sequence)]


@given(sequences)
def test_every_prefix_is_one_token(several: list[Ids]) -> None:
    tree = prefix_tree(several)
    assert len(tree) == len(prefixes(several))
    assert set().union(*(path.tolist() for path in tree.paths)) == set(range(len(tree)))


@given(sequences)
def test_a_token_sees_its_ancestors_and_nothing_else(several: list[Ids]) -> None:
    tree = prefix_tree(several)
    index = np.arange(len(tree))
    sees = (index[None] <= index[:, None]) & (index[:, None] < tree.ends[None])
    for i in range(len(tree)):
        path, at = [], i
        while at != -1:
            path.append(at)
            at = int(tree.parents[at])
        assert np.flatnonzero(sees[i]).tolist() == path[::-1]
        assert tree.depths[i] == len(path) - 1


@given(sequences)
def test_it_branches_unless_one_sequence_begins_with_all_others(several: list[Ids]) -> None:
    longest = max(map(len, several), default=0)
    assert prefix_tree(several).branches == (len(prefixes(several)) != longest)


@given(sequences)
def test_a_growing_tree_is_as_large_as_the_grown_one(several: list[Ids]) -> None:
    growing = Growing()
    for count, sequence in enumerate(several, start=1):
        growing.add(sequence)
        assert growing.size == len(prefix_tree(several[:count]))


@given(st.data(), st.integers(0, 8))
def test_a_partition_is_the_cheapest(data: st.DataObject, count: int) -> None:
    """Runs from i may go `reach[i]` far; against every way to cut."""
    reach = [data.draw(st.integers(1, count - i)) for i in range(count)]
    price = st.integers(0, 20)  # whole numbers: sums are exact
    prices = [[data.draw(price) for _ in range(far)] for far in reach]
    runs = partition(count, lambda i: map(float, prices[i]))
    assert [i for first, last in runs for i in range(first, last)] == list(range(count))

    def total(cuts: list[tuple[int, int]]) -> float:
        return sum(prices[a][b - a - 1] if b - a <= reach[a] else math.inf for a, b in cuts)

    assert total(runs) == min(map(total, splits(count)))


@given(examples(), costs)
def test_a_batch_holds_every_example_once_and_no_more_than_it_may(
    several: list[Encoded], costs: Costs
) -> None:
    done = batches(several, costs)
    assert sorted(e.first for batch in done for row in batch for e in row) == [
        e.first for e in several
    ]  # the very examples, so a pair is in one row
    assert all(batch and all(batch) for batch in done)
    for batch in done:
        if costs.packed:
            lengths = [forest_of(row) for row in batch]
        else:
            lengths = [len(path) for row in batch for e in row for path in e.paths]
        assert len(lengths) * max(lengths) <= costs.tokens or [len(row) for row in batch] == [1]
        assert all(forest_of(row) <= costs.tokens or len(row) == 1 for row in batch)
        assert len(batch) == 1 or not costs.single
        if not costs.packed:
            assert all(len(row) == 1 for row in batch)


@given(examples(), st.integers(1, 60), st.booleans())
def test_no_other_split_in_depth_first_order_has_fewer_tokens(
    several: list[Encoded], budget: int, single: bool
) -> None:
    """Where a row costs its tokens, rows have the fewest tokens that splits within the budget have.

    With a price on every row (`single`) it is tokens and price together.
    """
    ordered = sorted(several, key=lambda e: e.paths[0].ids.tobytes())
    price = 64 if single else 0

    def total(cuts: list[tuple[int, int]]) -> float:
        rows = [ordered[a:b] for a, b in cuts]
        if any(forest_of(row) > budget and len(row) > 1 for row in rows):
            return math.inf
        return sum(forest_of(row) + price for row in rows)

    rows = [row for batch in batches(several, Costs(budget, single=single)) for row in batch]
    done = sum(forest_of(row) + price for row in rows)
    assert done == min(map(total, splits(len(ordered))))


@given(examples(), st.integers(1, 60))
def test_packing_never_needs_more_tokens_than_rows_of_their_own(
    several: list[Encoded], budget: int
) -> None:
    packed = [row for batch in batches(several, Costs(budget)) for row in batch]
    assert sum(map(forest_of, packed)) <= sum(len(p) for e in several for p in e.paths)


@pytest.mark.parametrize(("even", "lengths"), [(math.inf, [80]), (1.0, [40, 40])])
def test_where_attention_is_dear_unrelated_examples_have_rows_of_their_own(
    even: float, lengths: list[int]
) -> None:
    """Two rows of n tokens cost 2 n (1 + n / even) and two passes; one of 2 n costs
    2 n (1 + 2 n / even) and one pass."""
    apart = [Encoded((Path(ids([number] * 40), 1),), 1.0, number) for number in (0, 1)]
    done = batches(apart, Costs(1000, even=even, single=True))
    assert [forest_of(row) for batch in done for row in batch] == lengths


def test_a_tree_is_split_where_it_shares_least() -> None:
    """Two questions of 10 tokens with three answers each, and room for one question."""
    several = [
        Encoded((Path(ids([question] * 10 + [answer]), 10),), 1.0, 3 * question + answer)
        for answer in range(3)
        for question in range(2)
    ]
    rows = [row for batch in batches(several, Costs(16)) for row in batch]
    assert sorted({e.first // 3 for e in row} for row in rows) == [{0}, {1}]


@pytest.mark.parametrize(("budget", "lengths"), [(40, [2]), (39, [1, 1]), (5, [1, 1])])
def test_an_unpacked_pair_is_two_rows(budget: int, lengths: list[int]) -> None:
    """Two pairs of ten tokens a side."""
    two = [Encoded((Path(ids([i] * 10), 1), Path(ids([i] * 9), 1)), 1.0, 2 * i) for i in range(2)]
    assert [len(batch) for batch in batches(two, Costs(budget, packed=False))] == lengths


@pytest.mark.parametrize("packed", [True, False])
def test_nothing_is_no_batch(packed: bool) -> None:
    assert batches([], Costs(10, packed=packed)) == []

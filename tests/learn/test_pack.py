"""Prefix trees and how rows and batches are cut out of them."""

import math
from collections.abc import Iterable
from itertools import combinations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from whorl.learn.corpus import Encoded, Ids, TokenPath
from whorl.learn.pack import (
    LAUNCH,
    Packing,
    TokenCount,
    batches,
    block_runs,
    cut_blocks,
    partition,
    prefix_tree,
)


def ids(tokens: Iterable[int]) -> Ids:
    return np.array(list(tokens), dtype=np.int32)


# few different tokens, so that much is shared; 256 sorts by bytes before 1, as numbers after it
tokens = st.lists(st.sampled_from([1, 2, 256]), max_size=7)
sequences = st.lists(tokens.map(ids), max_size=9)


@st.composite
def examples(draw: st.DrawFn) -> list[Encoded]:
    """Single paths or pairs, never both, as one objective eats them."""
    sides = draw(st.sampled_from([1, 2]))
    path = st.builds(lambda t: TokenPath(ids([7, *t]), 1), tokens)
    several = draw(st.lists(st.lists(path, min_size=sides, max_size=sides), max_size=8))
    return [Encoded(tuple(paths), 1.0, sides * i) for i, paths in enumerate(several)]


packings = st.builds(
    Packing, st.integers(1, 60), st.sampled_from(["gathered", "flex", "padded", "padded"])
)


def prefixes(several: Iterable[Ids]) -> set[tuple[int, ...]]:
    return {tuple(s[:n]) for s in several for n in range(1, len(s) + 1)}


def size_of(batch: Iterable[Encoded], packing: Packing) -> int:
    """Tokens of a batch: of one row that shares prefixes, or of rows padded to the longest."""
    paths = [path.ids for e in batch for path in e.paths]
    if packing.form == "padded":
        return len(paths) * max(map(len, paths))
    return len(prefixes(paths))


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


@given(sequences.filter(lambda several: any(map(len, several))), st.integers(1, 6))
def test_a_block_knows_all_that_its_tokens_see(several: list[Ids], size: int) -> None:
    tree = prefix_tree(several)
    blocks = cut_blocks(tree, size=size)
    count = -(-len(tree) // size)
    assert blocks.keys.shape[0] == blocks.seen.shape[0] == count
    assert blocks.seen.shape[1:] == (size, blocks.keys.shape[1])
    assert blocks.keys.shape[1] <= max(map(len, several)) - 1 + size
    for token in range(count * size):
        block, row = divmod(token, size)
        keys = blocks.keys[block][blocks.seen[block, row]].tolist()
        if token < len(tree):
            path, at = [], token
            while at != -1:
                path.append(at)
                at = int(tree.parents[at])
            assert keys == path[::-1]
        else:
            assert len(keys) == 1  # padding: something, or its softmax is none


def test_runs_leave_no_block_and_no_key_out() -> None:
    """A deep chain, then a hundred shallow ones, which are spared the deep one's keys."""
    deep = np.arange(2000, dtype=np.int32)
    shallow = [np.array([5000 + n, *range(30)], np.int32) for n in range(100)]
    blocks = cut_blocks(prefix_tree([deep, *shallow]))
    found = block_runs(blocks)
    ends = [last for last, _ in found]
    assert ends == sorted(ends) and ends[-1] == len(blocks.keys)
    for (first, _), (last, most) in zip([(0, 0), *found], found, strict=False):
        assert not blocks.seen[first:last, :, most:].any()
    computed = sum(
        (last - first) * most
        for (first, _), (last, most) in zip([(0, 0), *found], found, strict=False)
    )
    assert computed < 0.7 * blocks.keys.size


@given(sequences)
def test_a_growing_tree_is_as_large_as_the_grown_one(several: list[Ids]) -> None:
    growing = TokenCount()
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


@given(examples(), packings)
def test_a_batch_holds_every_example_once_and_no_more_than_it_may(
    several: list[Encoded], packing: Packing
) -> None:
    """The very examples, so a pair is in one batch; a batch too large holds one example."""
    done = batches(several, packing)
    assert sorted(e.first for batch in done for e in batch) == [e.first for e in several]
    for batch in done:
        assert batch
        assert size_of(batch, packing) <= packing.tokens or len(batch) == 1


@given(examples(), packings)
def test_no_other_split_computes_less(several: list[Encoded], packing: Packing) -> None:
    """Of prefix trees in depth-first order, of padded rows in the order of their lengths."""

    def longest(example: Encoded) -> int:
        return max(len(path) for path in example.paths)

    if packing.form == "padded":
        ordered = sorted(several, key=longest, reverse=True)
    else:
        ordered = sorted(several, key=lambda e: e.paths[0].ids.tobytes())

    def total(split: Iterable[list[Encoded]]) -> float:
        cost = 0.0
        for batch in split:
            size = size_of(batch, packing)
            cost += size + LAUNCH if size <= packing.tokens or len(batch) == 1 else math.inf
        return cost

    cheapest = min(total(ordered[a:b] for a, b in cuts) for cuts in splits(len(ordered)))
    assert total(batches(several, packing)) == cheapest


@given(examples(), st.integers(1, 60))
def test_packing_never_needs_more_tokens_than_rows_of_their_own(
    several: list[Encoded], budget: int
) -> None:
    packing = Packing(budget, "gathered")
    packed = sum(size_of(batch, packing) for batch in batches(several, packing))
    assert packed <= sum(len(path) for e in several for path in e.paths)


def test_a_tree_is_split_where_it_shares_least() -> None:
    """Two questions of 10 tokens with three answers each, and room for one question."""
    several = [
        Encoded((TokenPath(ids([question] * 10 + [answer]), 10),), 1.0, 3 * question + answer)
        for answer in range(3)
        for question in range(2)
    ]
    done = batches(several, Packing(16, "gathered"))
    assert sorted({e.first // 3 for e in batch} for batch in done) == [{0}, {1}]


@pytest.mark.parametrize(("budget", "lengths"), [(40, [2]), (39, [1, 1]), (5, [1, 1])])
def test_a_padded_pair_is_two_rows(budget: int, lengths: list[int]) -> None:
    """Two pairs, padded to ten tokens a side."""
    two = [
        Encoded((TokenPath(ids([i] * 10), 1), TokenPath(ids([i] * 9), 1)), 1.0, 2 * i)
        for i in range(2)
    ]
    assert [len(batch) for batch in batches(two, Packing(budget, "padded"))] == lengths


@pytest.mark.parametrize("form", ["gathered", "flex", "padded"])
def test_nothing_is_no_batch(form) -> None:
    assert batches([], Packing(10, form)) == []

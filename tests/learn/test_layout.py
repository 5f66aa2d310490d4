"""Batches, read back as the model sees them, against a plain computation path by path."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from whorl.example import Likelihood, Objective, Preference
from whorl.learn.corpus import Encoded, TokenPath
from whorl.learn.layout import Batch, Share, lay_out
from whorl.learn.pack import Costs, batches

Prefix = tuple[int, ...]
OTHERS = (1000, 5000)  # what the step holds besides these rows: examples, tokens

LIKELIHOODS = [
    Likelihood(kl=kl, penalty="k3", average=average)
    for kl in (0.0, 0.5)
    for average in ("token", "completion", "sum")
]
PREFERENCES = [Preference(), Preference(nll=0.25)]


@st.composite
def rows(draw: st.DrawFn) -> tuple[Objective, list[list[Encoded]]]:
    """An objective and rows of what it eats; few different tokens, so that much is shared."""
    objective = draw(st.sampled_from([*LIKELIHOODS, *PREFERENCES]))
    sides = 2 if isinstance(objective, Preference) else 1
    several: list[list[Encoded]] = []
    first = 0
    for length in draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)):
        several.append([])
        for _ in range(length):
            paths = tuple(draw(path()) for _ in range(sides))
            weight = draw(st.sampled_from([1.0, 0.0, -0.5, 2.0])) if sides == 1 else 1.0
            several[-1].append(Encoded(paths, weight, first, f"p#/{first}"))
            first += sides
    return objective, several


@st.composite
def path(draw: st.DrawFn) -> Path:
    ids = draw(st.lists(st.integers(1, 3), min_size=2, max_size=8))
    return TokenPath(np.array(ids, np.int32), draw(st.integers(1, len(ids) - 1)))


def prefixes(at: Path) -> list[Prefix]:
    """Every completion token of a path, with all that comes before it."""
    return [tuple(at.ids[: n + 1].tolist()) for n in range(at.start, len(at))]


def reference_of(prefix: Prefix) -> float:
    """A log-probability for every token in its context, as a model would give one."""
    return -float(np.float32(sum(token / 7**n for n, token in enumerate(prefix))))


def reference(several: Sequence[Sequence[Encoded]]) -> list[np.ndarray]:
    return [
        np.array([reference_of(prefix) for prefix in prefixes(path)], np.float32)
        for row in several
        for example in row
        for path in example.paths
    ]


def sees(batch: Batch) -> torch.Tensor:
    """`[B, T, T]`: whether the first token sees the second."""
    index = torch.arange(batch["ids"].shape[1])
    causal = index[None, :] <= index[:, None]
    if "ends" not in batch:
        return causal.expand(len(batch["ids"]), -1, -1)
    return causal & (index[None, :, None] < batch["ends"][:, None, :])


def targets(batch: Batch) -> list[tuple[int, Prefix]]:
    """Each target's row, and the token with what the token that predicts it sees before it."""
    visible, found = sees(batch), []
    kept = len(batch["keep"])
    for at, token in zip(batch["at"].tolist(), batch["tokens"].tolist(), strict=True):
        row, position = at // kept, int(batch["keep"][at % kept])
        found.append((row, (*batch["ids"][row][visible[row, position]].tolist(), token)))
    return found


def numbered(several: list[list[Encoded]], packed: bool) -> list[tuple[int, Encoded, int, Path]]:
    """Row in the batch, example, side and path, of every path."""
    flat = [
        (r, e, s, p) for r, row in enumerate(several) for e in row for s, p in enumerate(e.paths)
    ]
    return flat if packed else [(n, e, s, p) for n, (_, e, s, p) in enumerate(flat)]


def close(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for key in expected:
        assert found[key] == pytest.approx(expected[key], rel=1e-5, abs=1e-9)


@given(rows(), st.booleans())
def test_coefficients_are_those_of_every_path_added_up(case, packed: bool) -> None:
    objective, several = case
    examples, tokens = OTHERS
    batch = lay_out(several, objective, Share(examples, tokens), packed=packed)
    found = targets(batch)
    assert len(set(found)) == len(found)  # a shared token is one target

    weights: Counter[tuple[int, Prefix]] = Counter()
    kl: Counter[tuple[int, Prefix]] = Counter()
    for row, example, side, at in numbered(several, packed):
        for prefix in prefixes(at):
            if isinstance(objective, Preference):
                weights[row, prefix] += objective.nll / tokens if side == 0 else 0.0
                kl[row, prefix] += 0.0
                continue
            part = {
                "token": 1 / tokens,
                "completion": 1 / examples / at.learnt,
                "sum": 1 / examples,
            }[objective.average]
            weights[row, prefix] += example.weight * part
            kl[row, prefix] += objective.kl * part
    close(dict(zip(found, batch["weights"].tolist(), strict=True)), weights)
    close(dict(zip(found, batch["kl"].tolist(), strict=True)), kl)


@given(rows(), st.booleans())
def test_the_reference_stands_at_its_tokens(case, packed: bool) -> None:
    objective, several = case
    batch = lay_out(several, objective, Share(*OTHERS), packed=packed, reference=reference(several))
    for (_, prefix), value in zip(targets(batch), batch["reference"].tolist(), strict=True):
        assert value == reference_of(prefix)
    assert "reference" not in lay_out(several, objective, Share(*OTHERS), packed=packed)


@given(rows(), st.booleans())
def test_members_are_the_completion_tokens_of_every_path(case, packed: bool) -> None:
    objective, several = case
    batch = lay_out(several, objective, Share(*OTHERS), packed=packed)
    found = targets(batch)
    members = [
        (side, *found[member])
        for member, side in zip(batch["members"].tolist(), batch["sides"].tolist(), strict=True)
    ]
    assert Counter(members) == Counter(
        (number, row, prefix)
        for number, (row, _, _, at) in enumerate(numbered(several, packed))
        for prefix in prefixes(at)
    )
    paths = [path for row in several for e in row for path in e.paths]
    assert batch["paths"] == len(paths)
    assert batch["pair"] == pytest.approx(1 / OTHERS[0])
    assert batch["origins"] == tuple(e.origin for row in several for e in row)


@given(rows(), st.booleans())
def test_a_token_stands_at_its_depth_and_padding_sees_only_itself(case, packed: bool) -> None:
    objective, several = case
    batch = lay_out(several, objective, Share(*OTHERS), packed=packed)
    rows: list[list[Prefix]] = [[] for _ in batch["ids"]]
    for row, _, _, at in numbered(several, packed):
        rows[row].append(tuple(at.ids.tolist()))
    trees = [{path[: n + 1] for path in row for n in range(len(path))} for row in rows]
    assert batch["ids"].shape[1] == max(map(len, trees))
    straight = all(len(t) == max(map(len, row)) for t, row in zip(trees, rows, strict=True))
    assert ("ends" in batch) == ("positions" in batch) == (not straight)
    assert straight or packed
    if straight:
        return  # a causal mask and the usual positions serve: padding is on the right
    for row, (ids, seen) in enumerate(zip(batch["ids"], sees(batch), strict=True)):
        size = len(trees[row])
        assert {tuple(ids[seen[i]].tolist()) for i in range(size)} == trees[row]
        assert batch["positions"][row, :size].tolist() == (seen[:size].sum(1) - 1).tolist()
        padding = torch.arange(size, len(ids))
        assert seen[size:].nonzero().tolist() == [[i - size, i] for i in padding.tolist()]


@given(rows(), st.booleans())
def test_logits_are_kept_only_where_a_target_is_predicted(case, packed: bool) -> None:
    objective, several = case
    batch = lay_out(several, objective, Share(*OTHERS), packed=packed)
    keep = batch["keep"].tolist()
    assert keep == sorted(set(keep))
    assert {keep[at % len(keep)] for at in batch["at"].tolist()} == set(keep)


@given(rows(), st.integers(1, 40), st.booleans())
def test_the_batches_of_a_step_share_one_mean(case, budget: int, packed: bool) -> None:
    """However a step is cut into batches, its coefficients add up to the same."""
    objective, several = case
    examples = [example for row in several for example in row]
    share = Share.of(examples)
    assert share == Share(len(examples), sum(e.paths[0].learnt for e in examples))
    weights: Counter[Prefix] = Counter()
    whole: Counter[Prefix] = Counter()
    pairs = 0.0
    for cut in batches(examples, Costs(budget, packed=packed)):
        batch = lay_out(cut, objective, share, packed=packed)
        for (_, prefix), weight in zip(targets(batch), batch["weights"].tolist(), strict=True):
            weights[prefix] += weight
        pairs += batch["pair"] * len(batch["origins"])
    batch = lay_out([[e] for e in examples], objective, share, packed=False)
    for (_, prefix), weight in zip(targets(batch), batch["weights"].tolist(), strict=True):
        whole[prefix] += weight
    close(weights, whole)
    assert pairs == pytest.approx(1.0)
    if (
        isinstance(objective, Likelihood)
        and objective.average != "sum"
        and {e.weight for e in examples} == {1.0}
    ):
        assert sum(weights.values()) == pytest.approx(1.0, rel=1e-5)

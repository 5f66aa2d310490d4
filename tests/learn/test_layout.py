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
from whorl.learn.pack import Packing, batches

Prefix = tuple[int, ...]
OTHERS = (1000, 5000)  # what the step holds besides these rows: examples, tokens

LIKELIHOODS = [
    Likelihood(kl=kl, penalty="k3", average=average)
    for kl in (0.0, 0.5)
    for average in ("token", "completion", "sum")
]
PREFERENCES = [Preference(), Preference(nll=0.25)]


FORMS = st.sampled_from(["gathered", "flex", "padded"])


@st.composite
def cases(draw: st.DrawFn) -> tuple[Objective, list[Encoded], Packing]:
    """An objective and what it eats; few different tokens, so that much is shared."""
    objective = draw(st.sampled_from([*LIKELIHOODS, *PREFERENCES]))
    sides = 2 if isinstance(objective, Preference) else 1
    several: list[Encoded] = []
    for number in range(draw(st.integers(1, 6))):
        paths = tuple(draw(path()) for _ in range(sides))
        weight = draw(st.sampled_from([1.0, 0.0, -0.5, 2.0])) if sides == 1 else 1.0
        several.append(Encoded(paths, weight, sides * number, f"p#/{number}"))
    return objective, several, Packing(draw(st.integers(1, 60)), draw(FORMS))


@st.composite
def path(draw: st.DrawFn) -> TokenPath:
    ids = draw(st.lists(st.integers(1, 3), min_size=2, max_size=8))
    return TokenPath(np.array(ids, np.int32), draw(st.integers(1, len(ids) - 1)))


def prefixes(at: TokenPath) -> list[Prefix]:
    """Every completion token of a path, with all that comes before it."""
    return [tuple(at.ids[: n + 1].tolist()) for n in range(at.start, len(at))]


def reference_of(prefix: Prefix) -> float:
    """A log-probability for every token in its context, as a model would give one."""
    return -float(np.float32(sum(token / 7**n for n, token in enumerate(prefix))))


def reference(several: Sequence[Encoded]) -> list[np.ndarray]:
    return [
        np.array([reference_of(prefix) for prefix in prefixes(path)], np.float32)
        for example in several
        for path in example.paths
    ]


def sees(batch: Batch) -> torch.Tensor:
    """`[B, T, T]`: whether the first token sees the second."""
    rows, size = batch["ids"].shape
    index = torch.arange(size)
    causal = (index[None, :] <= index[:, None]).expand(rows, -1, -1)
    if "ends" in batch:
        return causal & (index[None, :, None] < batch["ends"][:, None, :])
    if "keys" not in batch:
        return causal
    blocks, _, width, _ = batch["seen"].shape
    found = torch.zeros(blocks * width, size, dtype=torch.bool)
    for token in range(size):
        block, row = divmod(token, width)
        found[token, batch["keys"][block][batch["seen"][block, 0, row]]] = True
    return found[None, :size]


def targets(batch: Batch) -> list[tuple[int, Prefix]]:
    """Each target's row, and the token with what the token that predicts it sees before it."""
    visible, found = sees(batch), []
    kept = len(batch["keep"])
    for at, token in zip(batch["at"].tolist(), batch["tokens"].tolist(), strict=True):
        row, position = at // kept, int(batch["keep"][at % kept])
        found.append((row, (*batch["ids"][row][visible[row, position]].tolist(), token)))
    return found


def numbered(several: list[Encoded], packing: Packing) -> list[tuple[int, Encoded, int, TokenPath]]:
    """Row in the batch, example, side and path, of every path."""
    flat = [(e, side, at) for e in several for side, at in enumerate(e.paths)]
    return [(n if packing.form == "padded" else 0, *rest) for n, rest in enumerate(flat)]


def close(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for key in expected:
        assert found[key] == pytest.approx(expected[key], rel=1e-5, abs=1e-9)


@given(cases())
def test_coefficients_are_those_of_every_path_added_up(case) -> None:
    objective, several, packing = case
    examples, tokens = OTHERS
    batch = lay_out(several, objective, Share(examples, tokens), packing)
    found = targets(batch)
    assert len(set(found)) == len(found)  # a shared token is one target

    weights: Counter[tuple[int, Prefix]] = Counter()
    kl: Counter[tuple[int, Prefix]] = Counter()
    for row, example, side, at in numbered(several, packing):
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


@given(cases())
def test_the_reference_stands_at_its_tokens(case) -> None:
    objective, several, packing = case
    batch = lay_out(several, objective, Share(*OTHERS), packing, reference(several))
    for (_, prefix), value in zip(targets(batch), batch["reference"].tolist(), strict=True):
        assert value == reference_of(prefix)
    assert "reference" not in lay_out(several, objective, Share(*OTHERS), packing)


@given(cases())
def test_members_are_the_completion_tokens_of_every_path(case) -> None:
    objective, several, packing = case
    batch = lay_out(several, objective, Share(*OTHERS), packing)
    found = targets(batch)
    members = [
        (side, *found[member])
        for member, side in zip(batch["members"].tolist(), batch["sides"].tolist(), strict=True)
    ]
    assert Counter(members) == Counter(
        (number, row, prefix)
        for number, (row, _, _, at) in enumerate(numbered(several, packing))
        for prefix in prefixes(at)
    )
    paths = [path for e in several for path in e.paths]
    assert batch["paths"] == len(paths)
    assert batch["pair"] == pytest.approx(1 / OTHERS[0])
    assert batch["origins"] == tuple(e.origin for e in several)


@given(cases())
def test_a_token_of_a_tree_stands_at_its_depth_and_sees_its_path(case) -> None:
    objective, several, packing = case
    batch = lay_out(several, objective, Share(*OTHERS), packing)
    paths = [tuple(path.ids.tolist()) for _, _, _, path in numbered(several, packing)]
    told = {"positions", "keys", "seen", "ends"} & batch.keys()
    if packing.form == "padded":
        assert not told  # a causal mask and the usual positions serve: padding is on the right
        assert batch["ids"].shape == (len(paths), max(map(len, paths)))
        for ids, path in zip(batch["ids"].tolist(), paths, strict=True):
            assert ids == [*path, *[0] * (len(ids) - len(path))]
        return
    assert told == {"positions"} | ({"ends"} if packing.form == "flex" else {"keys", "seen"})
    (ids,), (seen,), (positions,) = batch["ids"], sees(batch), batch["positions"]
    prefix = {path[: n + 1] for path in paths for n in range(len(path))}
    assert len(ids) == len(prefix)
    assert {tuple(ids[seen[i]].tolist()) for i in range(len(ids))} == prefix
    assert seen.diagonal().all()
    assert positions.tolist() == (seen.sum(1) - 1).tolist()


@given(cases())
def test_logits_are_kept_only_where_a_target_is_predicted(case) -> None:
    objective, several, packing = case
    batch = lay_out(several, objective, Share(*OTHERS), packing)
    keep = batch["keep"].tolist()
    assert keep == sorted(set(keep))
    assert {keep[at % len(keep)] for at in batch["at"].tolist()} == set(keep)


@given(cases())
def test_the_batches_of_a_step_share_one_mean(case) -> None:
    """However a step is cut into batches, its coefficients add up to the same."""
    objective, examples, packing = case
    share = Share.of(examples)
    assert share == Share(len(examples), sum(e.paths[0].learnt for e in examples))

    def added(cut: list[list[Encoded]], packing: Packing) -> tuple[Counter[Prefix], float]:
        weights: Counter[Prefix] = Counter()
        pairs = 0.0
        for some in cut:
            batch = lay_out(some, objective, share, packing)
            for (_, prefix), weight in zip(targets(batch), batch["weights"].tolist(), strict=True):
                weights[prefix] += weight
            pairs += batch["pair"] * len(batch["origins"])
        return weights, pairs

    weights, pairs = added(batches(examples, packing), packing)
    whole, _ = added([[e] for e in examples], Packing(1, "padded"))
    close(weights, whole)
    assert pairs == pytest.approx(1.0)
    if isinstance(objective, Likelihood) and objective.average != "sum":
        same = {e.weight for e in examples} == {1.0}
        assert not same or sum(weights.values()) == pytest.approx(1.0, rel=1e-5)

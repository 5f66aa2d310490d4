"""Losses against their definitions, on a small vocabulary where expectations are exact."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div

from whorl.example import Likelihood, Objective, Preference
from whorl.learn.corpus import Encoded, TokenPath
from whorl.learn.layout import Batch, Share, lay_out
from whorl.learn.losses import (
    batch_loss,
    chunked,
    exact_kl,
    k1,
    k3,
    likelihood,
    log_probs,
    preference,
)
from whorl.learn.pack import Packing

V = 11

seeds = st.integers(0, 2**32)
log_probabilities = st.floats(-20, 0)


def logits(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator) * 3


def paths(objective: Objective, *, weight: float = 1.0) -> list[Encoded]:
    """Four examples of 5 to 8 tokens."""
    rng = np.random.default_rng(0)
    sides = 2 if isinstance(objective, Preference) else 1
    several = [
        tuple(TokenPath(rng.integers(0, V, 5 + i, np.int32), 2) for _ in range(sides))
        for i in range(4)
    ]
    return [Encoded(p, weight, sides * i) for i, p in enumerate(several)]


def batch_of(objective: Objective, examples: list[Encoded]) -> tuple[Batch, Tensor]:
    """A batch with a reference model's log-probabilities, and logits for it."""
    reference = [
        -np.arange(1, path.learnt + 1, dtype=np.float32) for e in examples for path in e.paths
    ]
    share = Share.of(examples)
    batch = lay_out(examples, objective, share, Packing(10**6, "padded"), reference)
    return batch, logits(len(batch["ids"]), len(batch["keep"]), V)


def gradient(objective: Objective, weight: float) -> tuple[float, Tensor]:
    """Loss, and its gradient by the logits."""
    batch, scores = batch_of(objective, paths(objective, weight=weight))
    scores.requires_grad_()
    loss = batch_loss(objective, batch, scores, logits(*scores.shape, seed=1))
    loss.backward()
    assert scores.grad is not None
    return loss.item(), scores.grad


def test_dpo_has_its_known_value() -> None:
    """docs/papers.md, "Worked by hand"."""
    new, reference = torch.tensor([[-10.0, -12.0]]), torch.tensor([[-11.0, -11.0]])
    assert preference(new, reference, beta=0.1).tolist() == pytest.approx([0.598139], abs=5e-7)


@given(log_probabilities, log_probabilities, st.floats(0.01, 5))
def test_dpo_of_equal_models_is_log_2(chosen: float, rejected: float, beta: float) -> None:
    both = torch.tensor([[chosen, rejected]])
    assert preference(both, both, beta=beta).item() == pytest.approx(math.log(2))


@given(st.lists(log_probabilities, min_size=4, max_size=4), st.floats(0.01, 2))
def test_dpo_pushes_chosen_and_rejected_apart_equally(values: list[float], beta: float) -> None:
    """Its gradient by either margin is -/+ beta sigma(-beta margin) (2305.18290, section 4)."""
    new = torch.tensor([values[:2]], dtype=torch.float64, requires_grad=True)
    reference = torch.tensor([values[2:]], dtype=torch.float64)
    preference(new, reference, beta=beta).sum().backward()
    margin = beta * (values[0] - values[2] - values[1] + values[3])
    push = beta / (1 + math.exp(margin))
    assert new.grad is not None
    assert new.grad.ravel().tolist() == pytest.approx([-push, push])


def test_a_pair_counts_by_the_sums_of_its_sides() -> None:
    objective = Preference(beta=0.3, nll=0.2)
    examples = paths(objective)
    batch, scores = batch_of(objective, examples)
    taken = log_probs(scores.flatten(0, 1)[batch["at"]], batch["tokens"])
    gains = list((taken - batch["reference"]).split([p.learnt for e in examples for p in e.paths]))
    loss = sum(
        -torch.nn.functional.logsigmoid(0.3 * (chosen.sum() - rejected.sum())) / len(examples)
        for chosen, rejected in zip(gains[::2], gains[1::2], strict=True)
    )
    chosen_tokens = torch.cat(list(taken.split([p.learnt for e in examples for p in e.paths]))[::2])
    loss = loss - 0.2 * chosen_tokens.mean()
    torch.testing.assert_close(batch_loss(objective, batch, scores), loss)


@given(st.floats(-2, 2), st.floats(0.01, 2))
def test_the_linear_penalty_adds_a_constant_to_every_weight(weight: float, beta: float) -> None:
    """docs/papers.md, "Worked by hand"."""
    with_penalty, one = gradient(Likelihood(kl=beta, penalty="linear"), weight)
    without, other = gradient(Likelihood(), weight + beta)
    torch.testing.assert_close(one, other)
    assert with_penalty != pytest.approx(without)  # the reference is a constant in it


def test_the_linear_penalty_by_finite_differences() -> None:
    weight, beta, epsilon = (torch.tensor([x], dtype=torch.float64) for x in (0.7, 0.3, 1e-6))
    scores, token = logits(1, V).double(), torch.tensor([4])
    reference = torch.tensor([-2.0], dtype=torch.float64)

    def losses(at: Tensor) -> Tensor:
        taken = at.log_softmax(1).gather(1, token[:, None])[:, 0]
        with_penalty = likelihood(taken, weight) + (beta * k1(reference, taken)).sum()
        return torch.stack([with_penalty, likelihood(taken, weight + beta)])

    for entry in range(V):
        moved = scores.clone()
        moved[0, entry] += epsilon[0]
        one, other = (losses(moved) - losses(scores)) / epsilon
        assert one.item() == pytest.approx(other.item(), abs=1e-8)
        assert abs(one.item()) > 1e-6


def test_weight_one_is_cross_entropy() -> None:
    examples = paths(Likelihood())
    batch, scores = batch_of(Likelihood(), examples)
    whole = torch.zeros(*batch["ids"].shape, V)
    whole[:, batch["keep"]] = scores
    labels = torch.full(batch["ids"].shape, -100)
    for row, example in enumerate(examples):
        (path,) = example.paths
        labels[row, path.start : len(path)] = torch.from_numpy(path.ids[path.start :])
    plain = cross_entropy(whole[:, :-1].flatten(0, 1), labels[:, 1:].flatten().long())
    torch.testing.assert_close(batch_loss(Likelihood(), batch, scores), plain)


def test_weight_zero_has_no_gradient() -> None:
    loss, zero = gradient(Likelihood(), 0.0)
    assert loss == 0.0
    assert not zero.any()
    assert gradient(Likelihood(), 1.0)[1].any()


@pytest.mark.parametrize("average", ["token", "completion", "sum"])
def test_a_weight_scales_and_a_negative_one_turns_round(average) -> None:
    loss, plain = gradient(Likelihood(average=average), 1.0)
    minus, turned = gradient(Likelihood(average=average), -0.5)
    assert minus == pytest.approx(-0.5 * loss)
    torch.testing.assert_close(turned, -0.5 * plain)


@given(seeds)
def test_log_probs_are_those_of_the_softmax(seed: int) -> None:
    scores, tokens = logits(5, V, seed=seed), torch.arange(5)
    expected = scores.log_softmax(1)[tokens, tokens]
    torch.testing.assert_close(log_probs(scores, tokens), expected)
    torch.testing.assert_close(log_probs(scores + 1000, tokens), expected, atol=1e-3, rtol=1e-3)


@given(seeds)
def test_a_half_precise_model_is_judged_in_float32(seed: int) -> None:
    scores, tokens = logits(5, V, seed=seed).bfloat16(), torch.arange(5)
    assert log_probs(scores, tokens).dtype == torch.float32
    torch.testing.assert_close(log_probs(scores, tokens), log_probs(scores.float(), tokens))
    assert exact_kl(scores, scores + 1).dtype == torch.float32


@given(seeds)
def test_the_exact_kl_is_the_textbooks(seed: int) -> None:
    new, reference = logits(5, V, seed=seed), logits(5, V, seed=seed + 1)
    expected = kl_div(
        reference.log_softmax(1), new.log_softmax(1), log_target=True, reduction="none"
    ).sum(1)
    found = exact_kl(new, reference)
    torch.testing.assert_close(found, expected)
    assert (found > 0).all()
    assert not torch.allclose(found, exact_kl(reference, new))  # it has a direction


@given(seeds)
def test_no_model_differs_from_itself(seed: int) -> None:
    scores = logits(5, V, seed=seed)
    for penalty in (
        lambda s: exact_kl(s, scores),
        lambda s: k3(log_probs(s, torch.arange(5)), log_probs(scores, torch.arange(5))),
    ):
        new = scores.clone().requires_grad_()
        found = penalty(new)
        assert found.tolist() == pytest.approx([0.0] * 5, abs=1e-6)
        found.sum().backward()
        assert new.grad is not None
        assert new.grad.abs().max() < 1e-6


@given(st.lists(st.tuples(log_probabilities, log_probabilities), min_size=1))
def test_k3_is_never_negative(values: list[tuple[float, float]]) -> None:
    new, reference = torch.tensor(values, dtype=torch.float64).T
    assert (k3(new, reference) >= 0).all()


@given(seeds)
def test_the_estimates_have_the_exact_kl_as_their_mean(seed: int) -> None:
    """The sum over the whole vocabulary, each entry as often as the new model samples it."""
    new, reference = logits(1, V, seed=seed), logits(1, V, seed=seed + 1)
    entries = torch.arange(V)
    new_V = log_probs(new.expand(V, -1), entries)
    reference_V = log_probs(reference.expand(V, -1), entries)
    exact = exact_kl(new, reference)
    for estimate in (k1, k3):
        mean = (new_V.exp() * estimate(new_V, reference_V)).sum()
        torch.testing.assert_close(mean[None], exact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("penalty", ["exact", "k3", "linear"])
def test_a_penalty_is_added_with_its_coefficient(penalty) -> None:
    """Against its terms, token by token; every token counts 1 / tokens."""
    objective = Likelihood(kl=0.4, penalty=penalty)
    batch, scores = batch_of(objective, paths(objective, weight=-0.5))
    other = logits(*scores.shape, seed=1)
    new_MV, other_MV = (s.flatten(0, 1)[batch["at"]] for s in (scores, other))
    taken = new_MV.log_softmax(1).gather(1, batch["tokens"][:, None])[:, 0]
    d = batch["reference"] - taken
    terms = {
        "exact": (new_MV.softmax(1) * (new_MV.log_softmax(1) - other_MV.log_softmax(1))).sum(1),
        "k3": d.exp() - d - 1,
        "linear": d,
    }[penalty]
    expected = (0.5 * taken + 0.4 * terms).mean()
    torch.testing.assert_close(batch_loss(objective, batch, scores, other), expected)


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_chunks_change_nothing(size: int) -> None:
    torch.manual_seed(0)
    logits = torch.randn(7, 5, requires_grad=True)
    whole = torch.randn(7, 5)

    def score(some: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return (some * other).logsumexp(1)

    expected = score(logits, whole)
    (gradient,) = torch.autograd.grad(expected.sin().sum(), logits)
    found = chunked(score, logits, whole, size=size)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found.sin().sum(), logits)[0], gradient)


def test_several_tokens_at_one_position() -> None:
    logits = torch.randn(3, 5)
    at, tokens = torch.tensor([0, 2, 2]), torch.tensor([4, 0, 1])
    expected = logits.log_softmax(1)[at, tokens]
    torch.testing.assert_close(log_probs(logits, tokens, at), expected)

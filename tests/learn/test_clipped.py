"""The clipped ratio: its value and gradient by hand, what ends share, and a training by it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from whorl.ask import Prompt
from whorl.errors import UserError
from whorl.example import Likelihood, Pair, Preference, Weighted
from whorl.learn.corpus import Encoded, TokenPath
from whorl.learn.layout import Share, lay_out
from whorl.learn.losses import batch_loss, clipped
from whorl.learn.pack import Packing
from whorl.learn.train import train
from whorl.learn.training import Training
from whorl.models import POLICY

PROMPT = Prompt("", "Mia has 12 apples and buys 5.")
EXAMPLES = [Weighted(PROMPT, "12+5=17", 1.0), Weighted(PROMPT, "12+5=16", -1.0)]
SETTINGS = Training(epochs=4, lr=1e-3, batch=8, warmup=0.0)


def by_hand(ratio: float, weight: float, below: float, above: float) -> float:
    """min(r A, clip(r) A), negated (1707.06347, eq. 7)."""
    kept = min(max(ratio, 1 - below), 1 + above)
    return -min(ratio * weight, kept * weight)


@given(st.floats(-1, 1), st.lists(st.floats(-2, 2), min_size=1, max_size=4))
def test_a_token_that_several_samples_share(change: float, weights: list[float]) -> None:
    new = torch.tensor([change], dtype=torch.float64)
    total = torch.tensor([sum(weights)], dtype=torch.float64)
    falls = torch.tensor([sum(w for w in weights if w < 0)], dtype=torch.float64)
    ours = clipped(new, torch.zeros(1), total, falls, below=0.2, above=0.28)
    wanted = sum(by_hand(float(np.exp(change)), weight, 0.2, 0.28) for weight in weights)
    assert ours.item() == pytest.approx(wanted, abs=1e-9)


def encoded(weights: list[float]) -> list[Encoded]:
    """Samples that share their first tokens."""
    return [
        Encoded((TokenPath(np.array([1, 2, 3, 4 + i], np.int32), 2),), weight, i)
        for i, weight in enumerate(weights)
    ]


def gradient(objective: Likelihood, scores: Tensor, start: list[np.ndarray]) -> Tensor:
    examples = encoded([0.7, -0.4, 0.1])
    packing = Packing(10**6, "padded")
    batch = lay_out(examples, objective, Share.of(examples), packing, start=start)
    mine = scores.clone().requires_grad_()
    batch_loss(objective, batch, mine).backward()
    assert mine.grad is not None
    return mine.grad


def test_where_training_starts_it_is_reinforce() -> None:
    scores = torch.randn(3, 2, 11, generator=torch.Generator().manual_seed(0))
    told = scores.log_softmax(-1)
    start = [told[i, [0, 1], [3, 4 + i]].numpy() for i in range(3)]
    one = gradient(Likelihood(average="completion", clip=0.2), scores, start)
    other = gradient(Likelihood(average="completion"), scores, start)
    torch.testing.assert_close(one, other)
    gone = [values - 1.0 for values in start]  # now e times as likely: what rises stays
    pushed = gradient(Likelihood(average="completion", clip=0.2), scores, gone)
    assert pushed[0].abs().max() == 0 and pushed[1].abs().max() > 0
    wide = gradient(Likelihood(average="completion", clip=0.2, clip_above=2.0), scores, gone)
    assert wide[0].abs().max() > 0


def test_a_training_of_several_steps_stops_at_the_clip(tiny_model: Path, tmp_path: Path) -> None:
    """Without a ratio the same steps go on and on."""
    losses = {}
    for name, objective in (
        ("clipped", Likelihood(average="completion", clip=0.1)),
        ("free", Likelihood(average="completion", kl=1e-9, penalty="k3")),
    ):
        settings = replace(SETTINGS, epochs=25)
        result = train(
            tiny_model, EXAMPLES, tmp_path / name, settings=settings, objective=objective
        )
        losses[name] = result.loss
    assert -0.25 < losses["clipped"] < 0, "no sample gains more than 1.1 - 0.9 on average, by 2"
    assert (tmp_path / "clipped" / "training.json").exists()


def test_the_penalty_holds_to_the_model_that_is_named(tiny_model: Path, tmp_path: Path) -> None:
    plain = [Weighted(PROMPT, "12+5=17")]
    train(tiny_model, plain, tmp_path / "moved", settings=SETTINGS)
    idle = [Weighted(PROMPT, "12+5=17", 0.0)]
    for number, penalty in enumerate(("k3", "exact")):
        objective = Likelihood(kl=1.0, penalty=penalty)  # type: ignore[arg-type]
        own = replace(SETTINGS, epochs=1)
        there = train(
            tmp_path / "moved", idle, tmp_path / f"a{number}", settings=own, objective=objective
        )
        assert there.loss == pytest.approx(0, abs=1e-6), "it is its own reference"
        named = replace(own, reference=tiny_model)
        first = train(
            tmp_path / "moved", idle, tmp_path / f"b{number}", settings=named, objective=objective
        )
        assert first.loss > 1e-3, "it has left the first model"
        with pytest.raises(UserError, match="holds another training"):
            out = tmp_path / f"b{number}"
            train(tmp_path / "moved", idle, out, settings=own, objective=objective)


BRANCHES = [
    Weighted(PROMPT, f"12+5={text}\n\nSo \\boxed{{{text}}}.", weight)
    for text, weight in (("17", 1.0), ("16", -0.5), ("18", -0.5), ("17, as 2+5=7", 0.5))
]
BETTER = [Pair(PROMPT, BRANCHES[0].text, one.text) for one in BRANCHES[1:]]


@pytest.mark.parametrize("objective", [
    Likelihood(kl=1.0, penalty="k3"), Likelihood(kl=1.0), Preference(0.1)
], ids=lambda objective: getattr(objective, "penalty", "preference"))  # fmt: skip
def test_the_model_itself_may_be_named_where_examples_share_what_they_begin_with(
    tiny_model: Path, tmp_path: Path, objective: Likelihood | Preference
) -> None:
    examples = BETTER if isinstance(objective, Preference) else BRANCHES
    found = []
    for name, reference in (("none", None), ("named", tiny_model)):
        settings = replace(SETTINGS, reference=reference)
        out = tmp_path / name
        result = train(tiny_model, examples, out, settings=settings, objective=objective)
        found.append((result.loss, load_file(out / "model.safetensors")))
    (loss, weights), (again, others) = found
    assert again == pytest.approx(loss, abs=1e-5)
    assert max(float((weights[k] - others[k]).abs().max()) for k in weights) < 1e-4


def test_a_reference_of_other_tokens_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    other = POLICY.with_name("countdown_policy")
    settings = replace(SETTINGS, reference=other)
    with pytest.raises(UserError, match="countdown_policy has other tokens than"):
        train(tiny_model, BRANCHES, tmp_path / "out", settings=settings, objective=Likelihood(1.0))


def test_in_bfloat16_too_the_model_is_its_own_reference(tiny_model: Path, tmp_path: Path) -> None:
    idle = [replace(one, weight=0.0) for one in BRANCHES]
    settings = replace(SETTINGS, epochs=1, bf16=True)
    result = train(tiny_model, idle, tmp_path / "out", settings=settings, objective=Likelihood(1.0))
    assert result.loss == 0


def test_settings_without_sense_are_refused(tmp_path: Path) -> None:
    for wrong in ({"clip": 0.0}, {"clip": 1.5}, {"clip_above": 0.3}):
        with pytest.raises(ValueError, match="clip"):
            Likelihood(**wrong)
    for nothing in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="kl must be a number"):
            Likelihood(kl=nothing)
        with pytest.raises(ValueError, match="beta must be"):
            Preference(beta=nothing)
        with pytest.raises(UserError, match="lr a number"):
            Training(lr=nothing)
        with pytest.raises(UserError, match="weight_decay"):
            Training(weight_decay=nothing)
    for seed in (-1, 2**31):
        with pytest.raises(UserError, match="seed must be from 0"):
            Training(seed=seed)
    with pytest.raises(UserError, match="is no model folder"):
        Training(reference=tmp_path)

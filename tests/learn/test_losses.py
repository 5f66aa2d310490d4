import pytest
import torch

from whorl.learn.losses import IGNORED, likelihood

B, T, V = 3, 7, 11


def _case() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(B, T, V, generator=generator, dtype=torch.float32).requires_grad_()
    labels = torch.randint(0, V, (B, T), generator=generator)
    labels[0, :3] = labels[1, 5:] = labels[2, :1] = IGNORED
    return logits, labels


def test_weight_one_is_cross_entropy() -> None:
    logits, labels = _case()
    plain = torch.nn.functional.cross_entropy(
        logits[:, :-1].reshape(-1, V), labels[:, 1:].reshape(-1), ignore_index=IGNORED
    )
    tokens = labels[:, 1:].ne(IGNORED).sum()
    torch.testing.assert_close(likelihood(logits, labels, torch.ones(B)) / tokens, plain)


def test_a_weight_scales_its_own_sequence() -> None:
    logits, labels = _case()
    weights = torch.tensor([2.0, -0.5, 0.0])
    logprobs = logits.detach().log_softmax(-1)
    by_hand = sum(
        -weights[b] * logprobs[b, t, labels[b, t + 1]]
        for b in range(B)
        for t in range(T - 1)
        if labels[b, t + 1] != IGNORED
    )
    assert likelihood(logits, labels, weights).item() == pytest.approx(float(by_hand), rel=1e-5)


def test_weight_zero_gives_no_gradient() -> None:
    logits, labels = _case()
    likelihood(logits, labels, torch.tensor([1.0, 0.0, 1.0])).backward()
    assert logits.grad is not None
    assert not logits.grad[1].any()
    assert logits.grad[0].any()

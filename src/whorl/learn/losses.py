"""Losses: pure functions of the log-probabilities that models give to tokens.

Shapes: K positions with logits, M targets (tokens to be predicted at one of them), V entries of the
vocabulary, P pairs. Log-probabilities
are in nats. `new` is the model in training, `reference` the one it must not leave too far behind.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid
from torch.utils.checkpoint import checkpoint

from whorl.example import Distillation, Likelihood, Objective
from whorl.learn.layout import Batch

CHUNK = 1024
"""Positions whose logits are in float32 at once."""


def log_probs(logits_KV: Tensor, tokens_M: Tensor, at_M: Tensor | None = None) -> Tensor:
    """Log-probability of each token at its position, `[M]`, in float32.

    at_M: positions, several tokens of a tree being possible at one; without, the M positions in
        their order.
    """
    at_M = torch.arange(len(tokens_M), device=tokens_M.device) if at_M is None else at_M
    normalisers_K = chunked(lambda part: part.float().logsumexp(1), logits_KV)
    return logits_KV[at_M, tokens_M].float() - normalisers_K[at_M]


def exact_kl(new_KV: Tensor, reference_KV: Tensor) -> Tensor:
    """KL(new || reference) of the next token's distribution, from logits; `[K]`."""

    def divergence(new: Tensor, reference: Tensor) -> Tensor:
        new, reference = new.float().log_softmax(1), reference.float().log_softmax(1)
        return (new.exp() * (new - reference)).sum(1)

    return chunked(divergence, new_KV, reference_KV)


def chunked(score: Callable[..., Tensor], *logits_KV: Tensor, size: int = CHUNK) -> Tensor:
    """`score` of every position, `[K]`, computed for `size` positions at a time and again in the
    backward pass, so that a large vocabulary's logits of all positions are in memory once, not
    several times."""
    if len(logits_KV[0]) <= size:
        return score(*logits_KV)
    parts = zip(*(torch.split(each, size) for each in logits_KV), strict=True)
    return torch.cat([checkpoint(score, *part, use_reentrant=False) for part in parts])


def k1(new_M: Tensor, reference_M: Tensor) -> Tensor:
    """Estimate of KL(new || reference) per token: log new - log reference, for tokens sampled from
    `new`.

    With its arguments swapped it is the linear penalty of MARGE's code (docs/papers.md, "MARGE"),
    whose gradient is that of a constant added to every weight.
    """
    return new_M - reference_M


def k2(new_M: Tensor, teacher_M: Tensor) -> Tensor:
    """Half the squared difference of log-probabilities, (log new - log teacher)^2 / 2, per token:
    in the mean over tokens sampled from `new` its gradient is that of KL(new || teacher).

    http://joschu.net/blog/kl-approx.html; its value is the divergence to second order only.
    """
    return (new_M - teacher_M).square() / 2


def k3(new_M: Tensor, reference_M: Tensor) -> Tensor:
    """Estimate of KL(new || reference) per token, never negative: exp(d) - d - 1 with d = log
    reference - log new.

    http://joschu.net/blog/kl-approx.html; MARGE's penalty as we default it. The estimate is
    unbiased for tokens sampled from `new`. Of tokens sampled from the reference, as MARGE's and
    GRPO's are once a step has been made, the mean is chi2(reference || new) - KL(reference || new):
    also never negative, and the same to second order in the difference of the two.
    """
    d = reference_M - new_M
    return d.exp() - d - 1


def likelihood(log_probs_M: Tensor, weights_M: Tensor) -> Tensor:
    """Weighted negative log-likelihood, summed; a scalar."""
    return -(log_probs_M * weights_M).sum()


def clipped(
    new_M: Tensor,
    start_M: Tensor,
    weights_M: Tensor,
    falls_M: Tensor,
    *,
    below: float,
    above: float,
) -> Tensor:
    """PPO's clipped surrogate (1707.06347, eq. 7), negated and summed; a scalar.

    weights_M: sums of the weights of the samples that go through a token; falls_M: of the negative
        ones. A positive weight has no gradient where the ratio is over 1 + above, a negative one
        where it is under 1 - below.
    """
    ratio_M = (new_M - start_M).exp()
    rises_M = weights_M - falls_M
    gain_M = rises_M * ratio_M.clamp(max=1 + above) + falls_M * ratio_M.clamp(min=1 - below)
    return -gain_M.sum()


def preference(new_P2: Tensor, reference_P2: Tensor, *, beta: float) -> Tensor:
    """DPO's loss of each pair, `[P]` (2305.18290, eq. 7).

    `[:, 0]` are log-probabilities of the chosen completions, `[:, 1]` of the rejected ones.
    """
    gain_P2 = new_P2 - reference_P2
    return -logsigmoid(beta * (gain_P2[:, 0] - gain_P2[:, 1]))


def batch_loss(
    objective: Objective, batch: Batch, logits: Tensor, reference_logits: Tensor | None = None
) -> Tensor:
    """Loss of the batch, its part of the step's loss; a scalar.

    logits: `[B, K, V]`, at the positions `batch["keep"]` of each row; `reference_logits` the same
    of the reference model, which an exact penalty needs.
    """
    logits_KV = logits.flatten(0, 1)
    log_probs_M = log_probs(logits_KV, batch["tokens"], batch["at"])
    if isinstance(objective, Distillation):
        return (k2(log_probs_M, batch["reference"]) * batch["weights"]).sum()
    if isinstance(objective, Likelihood) and objective.clip is not None:
        above = objective.clip if objective.clip_above is None else objective.clip_above
        past = (batch["start"], batch["weights"], batch["falls"])
        loss = clipped(log_probs_M, *past, below=objective.clip, above=above)
    else:
        loss = likelihood(log_probs_M, batch["weights"])
    if isinstance(objective, Likelihood):
        if not objective.kl:
            return loss
        if objective.penalty == "exact":
            assert reference_logits is not None
            penalty_M = exact_kl(logits_KV, reference_logits.flatten(0, 1))[batch["at"]]
        elif objective.penalty == "k3":
            penalty_M = k3(log_probs_M, batch["reference"])
        else:
            penalty_M = k1(batch["reference"], log_probs_M)
        return loss + (penalty_M * batch["kl"]).sum()
    pairs = (batch["paths"] // 2, 2)
    new_P2, reference_P2 = (
        path_sums(values, batch).view(pairs) for values in (log_probs_M, batch["reference"])
    )
    loss_P = preference(new_P2, reference_P2, beta=objective.beta)
    return loss + loss_P.sum() * batch["pair"]


def chance(objective: Objective, batch: Batch, vocabulary: int) -> float:
    """Part of the step's loss that a batch would have under a model that guesses: log V nats for
    every target, or pair, by its coefficient, and as much for the penalty."""
    coefficients = float(batch["weights"].clamp(min=0).sum() + batch["kl"].sum())
    if isinstance(objective, Distillation):
        return math.log(vocabulary) ** 2 / 2 * coefficients
    if not isinstance(objective, Likelihood):
        coefficients += batch["pair"] * batch["paths"] / 2
    return math.log(vocabulary) * coefficients


def path_sums(values_M: Tensor, batch: Batch) -> Tensor:
    """Sums of the targets' values along each path of the batch, in the paths' order."""
    sums = values_M.new_zeros(batch["paths"])
    return sums.index_add(0, batch["sides"], values_M[batch["members"]])

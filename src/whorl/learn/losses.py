"""Losses: pure functions of what a model gives to tokens.

Shapes: M targets (tokens to be predicted), V entries of the vocabulary, P pairs. Log-probabilities
are in nats. `new` is the model in training, `reference` the one it must not leave too far behind.
"""

from torch import Tensor
from torch.nn.functional import logsigmoid

from whorl.example import Likelihood, Objective
from whorl.learn.layout import Batch


def log_probs(logits_MV: Tensor, tokens_M: Tensor) -> Tensor:
    """Log-probability of each token, `[M]`, in float32."""
    scores_MV = logits_MV.float()
    return scores_MV.gather(1, tokens_M[:, None])[:, 0] - scores_MV.logsumexp(1)


def exact_kl(new_MV: Tensor, reference_MV: Tensor) -> Tensor:
    """KL(new || reference) of the next token's distribution at each target, `[M]`, from logits."""
    new_MV, reference_MV = new_MV.float().log_softmax(1), reference_MV.float().log_softmax(1)
    return (new_MV.exp() * (new_MV - reference_MV)).sum(1)


def k1(new_M: Tensor, reference_M: Tensor) -> Tensor:
    """log new - log reference: its mean over tokens sampled from `new` is KL(new || reference).

    With its arguments swapped it is the linear penalty of MARGE's code (papers.md 2.4), whose
    gradient is that of a constant added to every weight.
    """
    return new_M - reference_M


def k3(new_M: Tensor, reference_M: Tensor) -> Tensor:
    """exp(d) - d - 1 with d = log reference - log new: as `k1`, and never negative.

    http://joschu.net/blog/kl-approx.html; MARGE's penalty as we default it.
    """
    d = reference_M - new_M
    return d.exp() - d - 1


def likelihood(log_probs_M: Tensor, weights_M: Tensor) -> Tensor:
    """Weighted negative log-likelihood, summed; a scalar."""
    return -(log_probs_M * weights_M).sum()


def preference(new_P2: Tensor, reference_P2: Tensor, *, beta: float) -> Tensor:
    """DPO's loss of each pair, `[P]` (2305.18290, eq. 7).

    `[:, 0]` are log-probabilities of the chosen completions, `[:, 1]` of the rejected ones.
    """
    gain_P2 = new_P2 - reference_P2
    return -logsigmoid(beta * (gain_P2[:, 0] - gain_P2[:, 1]))


def batch_loss(
    objective: Objective, batch: Batch, logits: Tensor, reference_logits: Tensor | None = None
) -> Tensor:
    """The batch's part of the step's loss; a scalar.

    logits: `[B, K, V]`, at the positions `batch["keep"]` of each row; `reference_logits` the same
    of the reference model, which an exact penalty needs.
    """
    logits_MV = logits.flatten(0, 1)[batch["at"]]
    log_probs_M = log_probs(logits_MV, batch["tokens"])
    loss = likelihood(log_probs_M, batch["weights"])
    if isinstance(objective, Likelihood):
        if not objective.kl:
            return loss
        if objective.penalty == "exact":
            assert reference_logits is not None
            penalty_M = exact_kl(logits_MV, reference_logits.flatten(0, 1)[batch["at"]])
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


def path_sums(values_M: Tensor, batch: Batch) -> Tensor:
    """Sums of the targets' values along each path of the batch, one after the other."""
    sums = values_M.new_zeros(batch["paths"])
    return sums.index_add(0, batch["sides"], values_M[batch["members"]])

"""Losses: pure functions of logits, labels and weights.

Shapes: B sequences of a batch, T tokens, V entries of the vocabulary.
"""

from torch import Tensor
from torch.nn.functional import cross_entropy

IGNORED = -100
"""The label of a token without loss."""


def likelihood(logits_BTV: Tensor, labels_BT: Tensor, weights_B: Tensor) -> Tensor:
    """Weighted negative log-likelihood, in nats, summed over the labelled tokens; a scalar.

    `logits_BTV[:, t]` predicts token t + 1; `labels_BT` holds the tokens themselves, `IGNORED`
    where there is no loss.
    """
    targets_BT = labels_BT[:, 1:]
    nll = cross_entropy(
        logits_BTV[:, :-1].flatten(0, 1).float(),
        targets_BT.flatten(),
        ignore_index=IGNORED,
        reduction="none",
    )
    return (nll.view_as(targets_BT).sum(dim=1) * weights_B).sum()

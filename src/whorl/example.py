"""Examples that training eats, two kinds, and objectives that training makes of them, three."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from whorl.ask import Prompt


@dataclass(frozen=True, slots=True)
class Weighted:
    """An example: a completion with a weight.

    prompt: context, `prompt.prefix` included; carries no loss.
    text: the completion; ends the assistant's turn if `ended`.
    weight: multiplies its tokens' negative log-likelihood; 1 is plain supervised fine-tuning, a
        negative one makes the completion less likely.
    origin: `problem id` + `#` + arm + `/` + node index: where it came from.
    taught: log-probabilities in nats that a teacher gives the completion's tokens, the end of the
        turn among them if `ended`; empty without a teacher.
    """

    prompt: Prompt
    text: str
    weight: float = 1.0
    ended: bool = True
    origin: str = ""
    taught: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """An example: two completions of one prompt, the first preferred.

    prompt: context of both, `prompt.prefix` included; carries no loss.
    chosen, rejected: the completions; each ends the assistant's turn if `chosen_ended`,
        `rejected_ended`.
    origin: where they came from, `problem id` + `#` + arm + `/` + chosen node + `>` + rejected one.
    """

    prompt: Prompt
    chosen: str
    rejected: str
    chosen_ended: bool = True
    rejected_ended: bool = True
    origin: str = ""


Example: TypeAlias = Weighted | Pair


@dataclass(frozen=True, slots=True)
class Rated:
    """An example for a process reward model: a step and how good it is.

    prompt: `user` is the bare question, `prefix` the solution up to the end of the step.
    value: how good the step is, in [0, 1].
    origin: as `Weighted`'s.
    """

    prompt: Prompt
    value: float
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Objective of `Weighted` examples: weighted negative log-likelihood, and a penalty for leaving
    the reference model.

    kl: coefficient of the penalty; the reference model is the one that training starts from, or
        that `Training.reference` names.
    penalty: `exact` is KL(new || reference) over the whole vocabulary at every completion token;
        `k3` is its estimate exp(d) - d - 1 at the token that stands there, d = log reference -
        log new (Schulman 2020), unbiased only for tokens sampled from the new model; `linear` is d
        itself, as in MARGE's code, which pulls towards the completion and is no penalty on its own.
    average: `token` divides the sum over tokens by the step's completion tokens; `completion` is
        the mean over completions of each one's mean over its tokens; `sum` is the mean over
        completions of each one's sum.
    clip: how far the ratio of a token's probability, new to when training started, may leave 1
        before its gradient ends (PPO, 1707.06347, eq. 7): the weight multiplies the ratio in place
        of the log-likelihood, which is the same where training starts. None: no ratio.
    clip_above: another bound above 1 (DAPO, 2503.14476); None: `clip` too.
    """

    kl: float = 0.0
    penalty: Literal["exact", "k3", "linear"] = "exact"
    average: Literal["token", "completion", "sum"] = "token"
    clip: float | None = None
    clip_above: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.kl < math.inf:
            raise ValueError(f"kl must be a number that is not negative, not {self.kl}")
        if self.clip is not None and not 0 < self.clip < 1:
            raise ValueError(f"clip should be above 0 and below 1, not {self.clip}")
        if self.clip_above is not None and (self.clip is None or self.clip_above <= 0):
            raise ValueError("clip_above should be above 0, and beside clip")

    @property
    def per_sample(self) -> bool:
        """Whether equal examples each count, as samples of which a mean over completions is an
        estimate; a text that is merely to be learned is learned once."""
        return self.average != "token"

    @property
    def compares_distributions(self) -> bool:
        """Whether the loss needs the reference model's whole distribution at every token."""
        return self.kl > 0 and self.penalty == "exact"

    @property
    def compares_tokens(self) -> bool:
        """Whether the loss needs the reference model's log-probability of every completion
        token."""
        return self.kl > 0 and self.penalty != "exact"

    @property
    def compares_start(self) -> bool:
        """Whether the loss needs what the model said of every token when training started."""
        return self.clip is not None


@dataclass(frozen=True, slots=True)
class Preference:
    """Objective of `Pair` examples: direct preference optimization (DPO, 2305.18290, eq. 7) against
    the model that training starts from. Step-DPO (2406.18629) is the same on pairs whose prompt
    holds the steps so far.

    beta: inverse temperature of the implicit reward.
    nll: weight of the chosen completions' mean negative log-likelihood per token, which is added.
    """

    beta: float = 0.1
    nll: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.beta < math.inf or not 0 <= self.nll < math.inf:
            raise ValueError("beta must be above 0, and nll must not be negative")

    @property
    def per_sample(self) -> bool:
        """As for `Likelihood`."""
        return False

    @property
    def compares_distributions(self) -> bool:
        """As for `Likelihood`."""
        return False

    @property
    def compares_tokens(self) -> bool:
        """As for `Likelihood`."""
        return True

    @property
    def compares_start(self) -> bool:
        """As for `Likelihood`."""
        return False


@dataclass(frozen=True, slots=True)
class Distillation:
    """Objective of `Weighted` examples whose tokens a teacher has scored: reverse KL divergence
    from the teacher at every token, on what the model itself has sampled.

    A token costs (log new - log teacher)^2 / 2. In the mean over tokens sampled from the model in
    training its gradient is that of KL(new || teacher) of the next token (k2 in
    http://joschu.net/blog/kl-approx.html), without what the token does to later ones: on-policy
    distillation with discount 0 (docs/papers.md, "On-policy distillation"). An example's weight
    multiplies the cost of its tokens.

    average: as for `Likelihood`.
    """

    average: Literal["token", "completion"] = "token"

    @property
    def per_sample(self) -> bool:
        """As for `Likelihood`: the examples are samples."""
        return True

    @property
    def compares_distributions(self) -> bool:
        """As for `Likelihood`."""
        return False

    @property
    def compares_tokens(self) -> bool:
        """As for `Likelihood`; what the teacher says is in the examples."""
        return False

    @property
    def compares_start(self) -> bool:
        """As for `Likelihood`."""
        return False


Objective: TypeAlias = Likelihood | Preference | Distillation

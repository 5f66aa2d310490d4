"""Abilities that a run needs of its engines, tried out before anything is grown."""

from collections.abc import Mapping

from whorl.ask import Ask, Engine, Failure, Prompt
from whorl.errors import UserError
from whorl.recipe import Recipe
from whorl.rollout import Sampling

_ASKED = Ask(Prompt("", "1 + 1 = ?"), max_tokens=1)
_TICKET = 1 << 62  # that no search's ask has


def check_logprobs(recipe: Recipe, engines: Mapping[str, Engine]) -> None:
    """Ask the policy for a token, if steps end by its uncertainty. Raises `UserError` if it does
    not say how likely the token was."""
    sampling = getattr(recipe, "sampling", None)
    if not isinstance(sampling, Sampling) or "policy" not in engines:
        return
    if not any(rule and rule.nats for rule in (sampling.steps, sampling.inside)):
        return
    engine = engines["policy"]
    engine.submit(_TICKET, _ASKED)
    while not (found := engine.poll(1.0)):
        pass
    ((_, answer),) = found
    if isinstance(answer, Failure):
        raise UserError(f"policy: {answer.error}")
    if answer[0].logprob is None:
        raise UserError(
            "steps by entropy need log-probabilities, which the policy's engine does not tell; "
            "take blank_line or tokens, or another engine, as local: or vllm:"
        )

"""Given texts read by servers: a prompt that a server echoes with the log-probabilities of its
tokens, as OpenAI's first completions did and vLLM's do."""

from collections.abc import Mapping
from typing import Any

from whorl.ask import Ask, Failure, Replies
from whorl.chat import Chat
from whorl.engines.admission import NO_SCORES, scored, to_score
from whorl.engines.server.transport import RefusedError


def echoing(ask: Ask, chat: Chat, context: int | None) -> tuple[dict[str, object], int]:
    """The fields of a request that has the text of an ask read, and how many of its tokens are the
    prompt's. A token has to be sampled behind them. Raises `RefusedError` for what does not fit."""
    found = to_score(ask, chat, None if context is None else context - 1)
    if isinstance(found, Failure):
        raise RefusedError(found.error)
    ids, start = found
    return {
        "prompt": ids,
        "max_tokens": 1,
        "temperature": 0.0,
        "echo": True,
        "logprobs": 1,
    }, start


def read_given(said: object, start: int, total: int) -> Replies:
    """The scores of `total - start` tokens behind a prompt of `start`. Raises `RefusedError` if the
    server did not echo them, ValueError if it said something else of them than numbers."""
    choices = said.get("choices") if isinstance(said, Mapping) else None
    if not isinstance(choices, list) or len(choices) != 1:
        raise ValueError("no choice or several instead of one")
    told: Any = choices[0].get("logprobs") if isinstance(choices[0], Mapping) else None
    values = told.get("token_logprobs") if isinstance(told, Mapping) else None
    if not isinstance(values, list) or len(values) < total:
        raise RefusedError(NO_SCORES)
    own = values[start:total]
    if not all(isinstance(each, float | int) and not isinstance(each, bool) for each in own):
        raise ValueError("log-probabilities that are no numbers")
    answer = scored(own, start)
    if isinstance(answer, Failure):
        raise RefusedError(answer.error)
    return answer

"""Which asks a model can take: its prompt's tokens, or the answer that needs no model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from typing import TYPE_CHECKING

from whorl.ask import Ask, Failure, Prompt, Replies, Reply
from whorl.errors import UserError

if TYPE_CHECKING:
    from whorl.chat import Chat


NO_SCORES = (
    "this engine cannot score a text that is given; take local: or vllm:, or a server whose "
    "/completions echoes its prompt with log-probabilities"
)


def admitted(
    ask: Ask,
    encode: Callable[[Prompt], list[int]],
    limit: int | None,
    *,
    known: int | None = None,
) -> tuple[list[int], Replies | Failure | None]:
    """Token ids of an ask's prompt, and its answer where no model is to be asked: a failure for a
    prompt that does not fit, empty samples where there is no room for a token of them.

    limit: tokens that prompt and sample may have together; None is any number. known: how many
    tokens the model knows, if the engine can tell; a tokenizer of another model may have more.
    A text to be scored is refused: an engine that can score asks `to_score` first.
    """
    if ask.given is not None:
        return [], Failure(NO_SCORES)
    ids = fitting(ask.prompt, encode, limit)
    if isinstance(ids, Failure):
        return [], ids
    if known is not None and (highest := max(ids, default=0)) >= known:
        return ids, Failure(
            f"the tokenizer gives token {highest}, but the model knows only {known}: they do not "
            "belong together"
        )
    if min(ask.n, ask.max_tokens) < 1 or len(ids) == limit:
        return ids, (Reply(finished="length", logprob=0.0),) * ask.n
    return ids, None


def to_score(ask: Ask, chat: Chat, limit: int | None) -> tuple[list[int], int] | Failure:
    """Token ids of an ask's prompt and of the completion that is given, as training has them, and
    how many are the prompt's; a failure where they do not fit.

    Nothing predicts a text's first token, so it counts to the prompt.
    """
    assert ask.given is not None
    try:
        ids, start = chat.encode_completion(ask.prompt, ask.given.text, ended=ask.given.ended)
    except UserError as error:
        return Failure(str(error))
    if len(ids) <= (start := max(1, start)):
        return Failure("there is no token to score")
    if limit is not None and len(ids) > limit:
        return Failure(f"prompt and text have {len(ids)} tokens, the model takes {limit}")
    return ids, start


def scored(logprobs: Sequence[float], prompt_tokens: int) -> Replies | Failure:
    """The answer that holds the log-probabilities of given tokens."""
    if not all(map(isfinite, logprobs)):
        return Failure("the model gives no likelihood to the text: it is not a number")
    told = tuple(round(each, 6) for each in logprobs)
    return (
        Reply(
            finished="stop",
            tokens=len(told),
            logprob=sum(told),
            prompt_tokens=prompt_tokens,
            logprobs=told,
        ),
    )


def fitting(
    prompt: Prompt, encode: Callable[[Prompt], list[int]], limit: int | None, advice: str = ""
) -> list[int] | Failure:
    """Token ids of a prompt of at least one and at most `limit` tokens; a failure for another one,
    with `advice` for one that is too long, and for one that the chat template refuses: what a model
    has said is in it, and ends that search alone."""
    try:
        ids = encode(prompt)
    except UserError as error:
        return Failure(str(error))
    if not ids:
        return Failure("prompt is empty")
    if limit is not None and len(ids) > limit:
        return Failure(f"prompt has {len(ids)} tokens, the model takes {limit}{advice}")
    return ids

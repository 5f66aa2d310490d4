"""Which asks a model can take: its prompt's tokens, or the answer that needs no model."""

from collections.abc import Callable

from whorl.ask import Ask, Failure, Prompt, Replies, Reply
from whorl.errors import UserError


def admitted(
    ask: Ask, encode: Callable[[Prompt], list[int]], limit: int | None
) -> tuple[list[int], Replies | Failure | None]:
    """Token ids of an ask's prompt, and its answer where no model is to be asked: a failure for a
    prompt that does not fit, empty samples where there is no room for a token of them.

    limit: tokens that prompt and sample may have together; None is any number.
    """
    ids = fitting(ask.prompt, encode, limit)
    if isinstance(ids, Failure):
        return [], ids
    if min(ask.n, ask.max_tokens) < 1 or len(ids) == limit:
        return ids, (Reply(finished="length", logprob=0.0),) * ask.n
    return ids, None


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

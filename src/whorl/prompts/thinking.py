"""Thinking: asks in which a model thinks before it speaks, made of asks that any engine answers."""

from dataclasses import replace

from whorl.answer.thoughts import CLOSE, OPEN, thinks
from whorl.ask import Ask, Asking, Prompt, Replies, Reply, T, together

ENOUGH = (
    "\n\nConsidering the limited time by the user, I have to give the solution based on the "
    "thinking directly now."
)
"""Put behind a thought that has used up its tokens, before it is closed: the words with which
Qwen3 models are stopped (2505.09388, section 4.3)."""

STOP = CLOSE.strip()
"""The string at which a thought is over."""

_CHARACTERS = 4  # of a token, in a thought whose tokens nobody counted


def thinking(moves: Asking[T]) -> Asking[T]:
    """The search `moves`, in which an ask for a thought (`Ask.thought`) becomes several: for the
    thought, and for what follows each thought that came. A thought that reaches its limit is closed
    with `ENOUGH`. The replies hold both, `<think>...</think>` and the text. What is thrown in,
    be it between a thought and what follows, is thrown into the search.

    As a search round a search it depends on nothing but the replies, so every part is on record.
    """
    try:
        asks = next(moves)
        while True:
            try:
                if any(ask.thought is not None for ask in asks):  # of most searches none is
                    answers = yield from together([_answered(ask) for ask in asks])
                else:
                    answers = yield asks
            except Exception as thrown:  # by a budget: the search knows what to keep
                asks = moves.throw(thrown)
            else:
                asks = moves.send(answers)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        moves.close()


def _answered(ask: Ask) -> Asking[Replies]:
    prompt, limit = ask.prompt, ask.thought
    begun = prompt.prefix
    if limit is None or (begun.strip() and not thinks(begun)):
        (replies,) = yield [replace(ask, thought=None)]
        return replies  # nobody asked for a thought, or it is past
    lead = "" if begun.strip() else OPEN
    left = limit - tokens(begun)
    thoughts: Replies = (Reply(finished="length"),) * ask.n
    if left > 0:
        first = replace(
            ask, prompt=_after(prompt, lead), stop=(STOP,), max_tokens=left, thought=None
        )
        (thoughts,) = yield [first]
    closed = [
        lead + closing(thought.text, cut=thought.finished == "length" and limit > 0)
        for thought in thoughts
    ]
    own: dict[str, list[int]] = {}
    for number, text in enumerate(closed):
        own.setdefault(text, []).append(number)
    found = yield [
        replace(ask, prompt=_after(prompt, text), n=len(numbers), thought=None)
        for text, numbers in own.items()
    ]
    said: dict[int, Reply] = {}
    for numbers, replies in zip(own.values(), found, strict=True):
        said |= zip(numbers, replies, strict=True)
    return tuple(
        _joined(thought, text, said[number])
        for number, (thought, text) in enumerate(zip(thoughts, closed, strict=True))
    )


def closing(thought: str, *, cut: bool) -> str:
    """A thought, closed. cut: it was not at its end, so it is told that there is no more time."""
    return thought.removesuffix("\n") + (ENOUGH if cut else "") + CLOSE


def tokens(text: str) -> int:
    """About how many tokens a text has: one for every four characters."""
    return len(text) // _CHARACTERS


def _after(prompt: Prompt, text: str) -> Prompt:
    return Prompt(prompt.system, prompt.user, prompt.prefix + text)


def _joined(thought: Reply, text: str, rest: Reply) -> Reply:
    """A thought and what followed it as one reply, which ends as that did."""
    known = thought.logprob is not None and rest.logprob is not None
    return replace(
        rest,
        text=text + rest.text,
        tokens=thought.tokens + rest.tokens,
        logprob=thought.logprob + rest.logprob if known else None,  # type: ignore[operator]
        prompt_tokens=thought.prompt_tokens + rest.prompt_tokens,
        cached_tokens=thought.cached_tokens + rest.cached_tokens,
    )

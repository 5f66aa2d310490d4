"""Which of several equals answers: the one whose cache knows the question, unless it is busy."""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import TypeVar

from whorl.ask import Prompt

T = TypeVar("T")

_SLACK = 64  # asks that one may have more than another before it is passed over


def question(prompt: Prompt) -> str:
    """What the prompts of one problem have in common: the first line of the user's turn."""
    return prompt.user.partition("\n")[0]


def home(key: str, places: Sequence[T], load: Callable[[T], int]) -> T:
    """The place that had `key` before, or the least busy one where that has far less to do."""
    if len(places) == 1:
        return places[0]
    lot = int.from_bytes(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=4).digest())
    own, idlest = places[lot % len(places)], min(places, key=load)
    return own if load(own) <= load(idlest) + _SLACK else idlest
